// The order of test files. Where nothing is known of them yet, vitest begins with those that have the most text; the fault
// matrix has little of it and takes longest, and must not be what everybody waits for at the end.
import { BaseSequencer, type TestSpecification } from 'vitest/node'

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) => Number(/\/faultMatrix\/\w+\.test\.ts$/.test(moduleId))
    // The files of a project stay together: they share what was started for them.
    const projects = [...new Set(sorted.map(({ project }) => project))]
    const filesOf = (project: TestSpecification['project']) => sorted.filter((file) => file.project === project)
    return projects.flatMap((project) => filesOf(project).toSorted((a, b) => isLong(b) - isLong(a)))
  }
}
