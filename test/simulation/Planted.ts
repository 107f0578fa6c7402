/**
 * Bugs to prove that the simulation bites: each is one text of one source file,
 * replaced as the file is loaded. A planted module carries the bug's name in
 * its address, and so does all that it imports of this project: every bug is a
 * program of its own within one process.
 */
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"

export interface Bug {
  readonly name: string
  /** Where it shows soonest. */
  readonly workload: string
  /** Below the project's folder. */
  readonly file: string
  /** Found exactly once in the file. */
  readonly find: string
  readonly replace: string
}

const root = new URL("../../", import.meta.url)

const planted = /\?planted=(.+)$/

/** From now on imports of `file.ts?planted=name` load the project with that bug. */
export const plant = (bugs: ReadonlyArray<Bug>): void => {
  registerHooks({
    resolve: (specifier, context, next) => {
      const resolved = next(specifier, context)
      const name = planted.exec(context.parentURL ?? "")?.[1]
      const isOurs = resolved.url.startsWith(root.href) && !resolved.url.includes("/node_modules/")
      return name !== undefined && isOurs && !planted.test(resolved.url)
        ? { ...resolved, url: `${resolved.url}?planted=${name}` }
        : resolved
    },
    load: (url, context, next) => {
      const name = planted.exec(url)?.[1]
      const bug = bugs.find((candidate) => candidate.name === name)
      if (bug === undefined || url !== `${new URL(bug.file, root).href}?planted=${bug.name}`) return next(url, context)
      return { format: "module-typescript", source: sourceWith(bug), shortCircuit: true }
    }
  })
}

/** Throws where the text is not there exactly once: then the source has changed, and the bug must be written anew. */
export const sourceWith = ({ file, find, name, replace }: Bug): string => {
  const source = readFileSync(fileURLToPath(new URL(file, root)), "utf8")
  const parts = source.split(find)
  if (parts.length !== 2) throw new Error(`bug ${name}: its text is ${parts.length - 1} times in ${file}`)
  return parts.join(replace)
}
