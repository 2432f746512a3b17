// The hosted repository: its workflow runs what a developer can run, with no more rights than that needs, and its bot knows our
// packages. Text matches only.
import { describe, expect, it } from 'vitest'
import { matches, packageJson, textOf } from './repository.ts'

describe('.github/workflows/ci.yml', () => {
  const workflow = textOf('.github/workflows/ci.yml')

  it('.github/workflows/ci.yml checks by .ci/run and by nothing else', () => {
    expect(matches(workflow, /^ +run: ((?!\|).+)$/gm)).toEqual(['bash .ci/run'])
    expect(workflow.match(/^[^#\n]*\b(?:npm|npx|node) /gm)).toBeNull()
    expect(textOf('.ci/run')).toMatch(/^npm ci\nnpm run check\nnpm run test:long\n$/m)
  })

  it('.github/workflows/ci.yml may read the repository and nothing else', () => {
    expect(matches(workflow, /^ *permissions:((?:\n +.+)+)/gm)).toEqual(['\n  contents: read'])
    expect(workflow).not.toMatch(/secrets\.|pull_request_target/)
  })

  it('.github/workflows/ci.yml names each action with a major version', () => {
    const actions = matches(workflow, /uses: (.+)/g)
    expect(actions.length).toBeGreaterThan(0)
    expect(actions.filter((action) => !/^actions\/[a-z-]+@v\d+$/.test(action))).toEqual([])
  })
})

describe('.github/dependabot.yml', () => {
  it('.github/dependabot.yml names only packages that package.json has', () => {
    const lines = textOf('.github/dependabot.yml').match(/^ *(?:patterns:|- dependency-name:).+$/gm) ?? []
    const named = matches(lines.join('\n'), /'(.+?)'/g)
    const { dependencies, optionalDependencies, devDependencies } = packageJson()
    const packages = Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies })
    expect(named.length).toBeGreaterThan(0)
    expect(named.filter((name) => !packages.includes(name))).toEqual([])
  })
})
