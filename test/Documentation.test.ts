/** Every example in the JSDoc and the README compiles, and every public export says since when it is there. */
import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const modules = globSync("src/{*,jute/*,recipe/*}.ts", { cwd: root })

const blocks = (file: string): Array<string> => {
  const text = readFileSync(join(root, file), "utf8").replaceAll(/^ *\* ?/gm, "")
  return Array.from(text.matchAll(/```ts\n([\s\S]*?)```/g), ([, code = ""]) => code).filter((code) =>
    code.includes("import ")
  )
}

it("examples compile", () => {
  const directory = join(root, "node_modules/.cache/examples")
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  let count = 0
  for (const file of [...modules, "README.md"]) {
    for (const code of blocks(file)) {
      writeFileSync(join(directory, `${file.replaceAll(/\W/g, "_")}_${count++}.ts`), code)
    }
  }
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({
      extends: "../../../tsconfig.json",
      compilerOptions: {
        noUnusedLocals: false,
        paths: { "effect-zookeeper": ["../../../src/index.ts"], "effect-zookeeper/*": ["../../../src/*.ts"] }
      },
      include: ["*.ts"],
      exclude: []
    })
  )
  assert.isAbove(count, 4)
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", directory], { stdio: ["ignore", "inherit", "inherit"] })
})

it("every public export is documented", () => {
  const undocumented = modules.filter((file) => file !== "src/index.ts").flatMap((file) => {
    const lines = readFileSync(join(root, file), "utf8").split("\n")
    return lines.flatMap((line, index) => {
      if (!/^export (const|class|interface|type|function)/.test(line)) return []
      const comment = lines.slice(Math.max(0, index - 40), index).join("\n")
      const last = comment.slice(comment.lastIndexOf("/**"))
      return last.includes("@since") && last.includes("@category") && last.trimEnd().endsWith("*/")
        ? []
        : [`${file}:${index + 1} ${line}`]
    })
  })
  assert.deepStrictEqual(undocumented, [])
})
