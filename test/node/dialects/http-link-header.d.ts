/** The part of http-link-header, which brings no types, that a test uses. */
declare module 'http-link-header' {
  export default class LinkHeader {
    static parse(value: string): LinkHeader
    readonly refs: readonly ({ readonly uri: string } & Readonly<Record<string, string>>)[]
  }
}
