/**
 * Every example in the JSDoc and the README compiles, those that can end run and return what they say, and every
 * public export says since when it is there and shows how it is used. And every test runs on both servers, or its
 * README says why not.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, matchesGlob } from "node:path"
import type { ZooKeeper } from "../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../src/ZooKeeperTest.ts"
import { onAnyServer } from "./support/anyServer.ts"

const root = join(import.meta.dirname, "..")
const modules = globSync("src/{*,jute/*,recipe/*}.ts", { cwd: root }).filter((file) => file !== "src/index.ts").toSorted()

/** Not below node_modules, where Node and vitest take TypeScript for somebody else's. */
const directory = join(root, "test/.examples")

interface Example {
  readonly file: string
  readonly path: string
  readonly code: string
}

const read = (file: string): string => readFileSync(join(root, file), "utf8")

const examples: ReadonlyArray<Example> = [...modules, "README.md"].flatMap((file) =>
  Array.from(read(file).replaceAll(/^ *\* ?/gm, "").matchAll(/```ts\n([\s\S]*?)```/g), ([, code = ""]) => code)
    .filter((code) => code.includes("import "))
    .map((code, index) => ({ file, code, path: join(directory, `${file.replaceAll(/\W/g, "_")}_${index + 1}.ts`) }))
)

const shown = (file: string): string =>
  examples.filter((example) => example.file === file).map(({ code }) => code).join("\n")

/** By import, or as a member of a module that was imported whole. */
const isShown = (file: string, name: string): boolean =>
  new RegExp(`\\.${name}\\b|^import \\{[^}]*\\b${name}\\b`, "m").test(shown(file))

/** What an expression is said to be (`1 + 1 // => 2`) is held against what it is. */
const checked = (code: string): string =>
  code.replaceAll(/^( *(?:return |(?:export )?const \w+ = )?)(\S.*) \/\/ => (.*)$/gm, "$1said($2, $3)")

const saying = `import { assert } from "@effect/vitest"
const said = <A>(actual: A, expected: unknown): A => (assert.deepStrictEqual(actual, expected), actual)
`

/** Example files import the sources, so that they can be run as well. */
beforeAll(() => {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  for (const { code, path } of examples) {
    const imports = code.replaceAll(/"effect-zookeeper(?:\/([^"]+))?"/g, (_, name = "index") => `"../../src/${name}.ts"`)
    writeFileSync(path, code.includes(" // => ") ? saying + checked(imports) : imports)
  }
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({
      extends: "../../tsconfig.json",
      compilerOptions: { noUnusedLocals: false },
      include: ["*.ts"],
      exclude: []
    })
  )
})

it("examples compile", () => {
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", directory], { stdio: ["ignore", "inherit", "inherit"] })
})

interface Runnable {
  readonly program?: Effect.Effect<unknown, unknown, ZooKeeper | ZooKeeperTest.ZooKeeperTest | Scope.Scope>
}

describe("examples that say what comes of them, or export a program, are right", () => {
  for (const { code, path } of examples) {
    if (!/^export const program\b| \/\/ => /m.test(code)) continue
    it.live(path.slice(directory.length + 1), () =>
      Effect.flatMap(Effect.promise((): Promise<Runnable> => import(path)), ({ program = Effect.void }) => program).pipe(
        Effect.provide(ZooKeeperTest.layer()),
        Effect.provideService(References.MinimumLogLevel, "Error")
      ))
  }
})

it("every public export is documented", () => {
  const undocumented = modules.flatMap((file) => {
    const lines = read(file).split("\n")
    return lines.flatMap((line, index) => {
      if (!/^export (const|class|interface|type|function)/.test(line)) return []
      const before = lines.slice(0, index).join("\n")
      const last = before.slice(before.lastIndexOf("/**"))
      return last.includes("@since") && last.includes("@category") && last.trimEnd().endsWith("*/")
        ? []
        : [`${file}:${index + 1} ${line}`]
    })
  })
  assert.deepStrictEqual(undocumented, [])
})

it("every module has an example", () => {
  assert.deepStrictEqual(modules.filter((file) => shown(file) === ""), [])
})

const isClass = (value: object): boolean => /^class\b/.test(Function.prototype.toString.call(value))

const isInternal = (file: string, name: string): boolean =>
  new RegExp(`@internal\\b(?:(?!\\*/)[^])*\\*/\\nexport const ${name}\\b`).test(read(file))

it("every function is used in an example of its module", async () => {
  const unused: Array<string> = []
  for (const file of modules) {
    const exported: Record<string, unknown> = await import(join(root, file))
    for (const [name, value] of Object.entries(exported)) {
      if (typeof value !== "function" || isClass(value) || Schema.isSchema(value) || isInternal(file, name)) continue
      if (!isShown(file, name)) unused.push(`${file} ${name}`)
    }
  }
  assert.deepStrictEqual(unused, [])
})

const membersOf = (file: string, name: string): ReadonlyArray<string> => {
  const body = read(file).split(new RegExp(`^export interface ${name}\\b`, "m"))[1]?.split("\n}")[0] ?? ""
  return Array.from(body.matchAll(/^ {2}readonly (\w+)/gm), ([, member = ""]) => member)
}

describe("everything that a service can do is used in an example", () => {
  for (
    const [file, name, as, least] of [
      ["src/ZooKeeper.ts", "Service", "zk", 30],
      ["src/ZooKeeperTest.ts", "Controls", "test", 17],
      ["src/ZooKeeperTest.ts", "Service", "test", 9]
    ] as const
  ) {
    it(`${name} of ${file}`, () => {
      const members = membersOf(file, name)
      assert.isAtLeast(members.length, least)
      const unused = members.filter((member) =>
        !examples.some(({ code, file }) => file.startsWith("src/") && new RegExp(`\\b${as}\\.${member}\\b`).test(code)))
      assert.deepStrictEqual(unused, [])
    })
  }
})

/** Of a file, or of a folder that ends with a slash. */
const covers = (name: string, file: string): boolean =>
  name.endsWith("/") ? file.startsWith(name) : file === `${name}.test.ts`

it("every test file runs on both servers, or test/README.md says why not", () => {
  const rows = read("test/README.md").split("## On one server only")[1]?.split("\n## ")[0]?.match(/^\| `.*$/gm) ?? []
  const excused = rows.flatMap((row) =>
    Array.from(row.split("|")[1]?.matchAll(/`([^`]+)`/g) ?? [], ([, name = ""]) => `test/${name}`))
  const files = globSync("test/**/*.test.ts", { cwd: root })
  const either = files.filter((file) => excused.some((name) => covers(name, file)))
  const both = files.filter((file) => onAnyServer.some((pattern) => matchesGlob(file, pattern)))
  assert.sameMembers([...either, ...both], files)
  assert.deepStrictEqual(excused.filter((name) => !files.some((file) => covers(name, file))), [])
})
