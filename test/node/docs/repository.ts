// The repository as its readers see it: the Markdown files, their headings and code blocks. Reads only, judges nothing.
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'

export const root = path.join(import.meta.dirname, '../../..')

export const textOf = (file: string): string => readFileSync(path.join(root, file), 'utf8')

const notOurs = /^(?:node_modules|dist|coverage|\.wrangler)(?:\/|$)/

/** Throws when no file matches: a test over an empty list would pass without having looked at anything. */
export function filesLike(pattern: string): string[] {
  const files = globSync(pattern, { cwd: root, exclude: (name) => notOurs.test(name) }).sort()
  if (files.length === 0) throw new Error(`no file matches ${pattern}`)
  return files
}

/** The first group of every match. */
export const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, it = '']) => it)

/** The files of the Worker, and all their text. */
export const sources = filesLike('src/**/*.ts')
export const sourceText = sources.map(textOf).join('\n')

/** The string literals of a union, written in one line of src. Throws when the line is not there. */
export function stringsOf(line: RegExp): string[] {
  const strings = matches(line.exec(sourceText)?.[1] ?? '', /'([a-z-]+)'/g)
  if (strings.length === 0) throw new Error(`no line of src matches ${line}`)
  return strings
}

export const unique = (list: string[]): string[] => [...new Set(list)].sort()

interface PackageJson {
  version: string
  scripts: Record<string, string>
  dependencies: Record<string, string>
  optionalDependencies: Record<string, string>
  devDependencies: Record<string, string>
}

export const packageJson = () => JSON.parse(textOf('package.json')) as PackageJson // npm's own format

export interface Fence {
  language: string
  code: string
  /** The heading it stands under. */
  under: string
}

/** The fenced code blocks of a document, in order. */
export function fencesOf(markdown: string): Fence[] {
  const fences: Fence[] = []
  let under = ''
  let open: { language: string; indent: number; lines: string[] } | undefined
  for (const line of markdown.split('\n')) {
    const [, indent = '', language = ''] = /^( *)```(\w*)$/.exec(line) ?? []
    if (/^ *```\w*$/.test(line)) {
      if (open) fences.push({ language: open.language, code: open.lines.join('\n'), under })
      open = open ? undefined : { language, indent: indent.length, lines: [] }
    } else if (open) open.lines.push(line.slice(open.indent))
    else if (/^#+ /.test(line)) under = line.replace(/^#+ /, '')
  }
  return fences
}

export const withoutFences = (markdown: string): string => markdown.replaceAll(/^ *```[\s\S]*?^ *```$/gm, '')

/** The anchors of a document's headings, as they are linked to: lower case, no punctuation, hyphens for spaces. */
export function anchorsOf(markdown: string): Set<string> {
  const seen = new Map<string, number>()
  const anchors = [...withoutFences(markdown).matchAll(/^#+ +(.+?) *$/gm)].map(([, heading = '']) => {
    const slug = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-')
    const before = seen.get(slug) ?? 0
    seen.set(slug, before + 1)
    return before === 0 ? slug : `${slug}-${before}`
  })
  return new Set(anchors)
}

/** The text under a heading, up to the next one of the same or a higher level. */
export function sectionOf(markdown: string, heading: string): string {
  const lines = markdown.split('\n')
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading)
  if (start < 0) throw new Error(`no heading "${heading}"`)
  const level = /^#+/.exec(lines[start] ?? '')?.[0].length ?? 0
  const length = lines.slice(start + 1).findIndex((line) => (/^(#+) /.exec(line)?.[1]?.length ?? 99) <= level)
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join('\n')
}

/** The rows of the first table in a text whose heading row begins with `first`; backticks are taken off. */
export function tableOf(markdown: string, first: string): string[][] {
  const lines = markdown.split('\n')
  const head = lines.findIndex((line) => line.startsWith(`| ${first} |`))
  if (head < 0) throw new Error(`no table that begins with "${first}"`)
  const end = lines.findIndex((line, at) => at > head && !line.startsWith('|'))
  return lines.slice(head + 2, end < 0 ? undefined : end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  )
}

/** The first cell of each row, in order of the alphabet. */
export const firstCells = (rows: string[][]): string[] => rows.map(([cell = '']) => cell).sort()

/** What Markdown links to, without addresses elsewhere. */
export const linksOf = (markdown: string): string[] =>
  matches(withoutFences(markdown), /\]\(([^)\s]+)\)/g).filter((link) => !/^[a-z]+:/.test(link))
