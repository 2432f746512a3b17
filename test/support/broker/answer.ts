/** An answer of the broker, as tests look at it. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: the shape of an answer is what tests assert
  readonly json: any
}
