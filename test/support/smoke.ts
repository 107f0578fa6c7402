/**
 * What a user does first: installs the packed tarball into an empty project,
 * copies the README's first program, checks its types and runs it, on the
 * server that came with the package (or on `ZK_HOSTS`). Expects that
 * `npm run build` was done.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")

const program = Effect.gen(function*() {
  const project = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-zookeeper-smoke-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )
  const tarball = pack(project)
  createProject(project, tarball)
  const hosts = process.env["ZK_HOSTS"] || (yield* serve(project))
  writeFileSync(join(project, "program.ts"), firstProgram(hosts))
  checkTypes(project)
  const output = run(project, process.execPath, ["program.ts"], { ZK_HOSTS: hosts })
  if (output.trim() === "") throw new Error("The README's first program printed nothing")
  console.log(`${output.trimEnd()}\n\nThe README's first program works from the packed tarball`)
})

/** The command of the package, until the end. */
const serve = (directory: string) =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => spawn(join(directory, "node_modules/.bin/effect-zookeeper-server"), ["--port", "0"])),
      (child) => Effect.sync(() => void child.kill())
    ),
    (child) =>
      Effect.callback<string>((resume) => {
        let output = ""
        child.stdout.on("data", (chunk: Buffer) => {
          output += chunk.toString()
          const hosts = /listening on (\S+)/.exec(output)?.[1]
          if (hosts !== undefined) resume(Effect.succeed(hosts))
        })
        child.on("close", () => resume(Effect.die(`effect-zookeeper-server has ended: ${output}`)))
      })
  )

const run = (directory: string, command: string, parameters: ReadonlyArray<string>, environment = {}): string =>
  execFileSync(command, parameters, {
    cwd: directory,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 300_000,
    env: { ...process.env, ...environment }
  })

const belongs = /^(dist\/|src\/|(package\.json|README\.md|LICENSE|CHANGELOG\.md)$)/
const required = ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "dist/index.js", "dist/index.d.ts", "dist/testing.js", "dist/bin/effect-zookeeper-server.js", "src/index.ts"]

const pack = (directory: string): string => {
  const [packed] = JSON.parse(
    run(root, "npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", directory])
  ) as Array<{ readonly filename: string; readonly files: ReadonlyArray<{ readonly path: string }> }>
  if (packed === undefined) throw new Error("npm pack made no tarball")
  const paths = packed.files.map(({ path }) => path)
  const foreign = paths.filter((path) => !belongs.test(path))
  const missing = required.filter((path) => !paths.includes(path))
  if (foreign.length > 0) throw new Error(`Files that do not belong into the tarball: ${foreign.join(", ")}`)
  if (missing.length > 0) throw new Error(`Files that are missing in the tarball: ${missing.join(", ")}`)
  return join(directory, packed.filename)
}

const createProject = (directory: string, tarball: string): void => {
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly devDependencies: Readonly<Record<string, string>>
  }
  const peers = ["effect", "@effect/platform-node"].map((name) => `${name}@${devDependencies[name]}`)
  writeFileSync(join(directory, "package.json"), JSON.stringify({ private: true, type: "module" }))
  run(directory, "npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", tarball, ...peers])
}

/** The server of the README's reader is on the usual port. */
const firstProgram = (hosts: string): string => {
  const readme = readFileSync(join(root, "README.md"), "utf8")
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? "")
  const program = blocks.find((code) => /^import /m.test(code))
  if (program === undefined) throw new Error("The README has no ```ts block with an import")
  return program.replaceAll(/(127\.0\.0\.1|localhost):2181/g, hosts)
}

const checkTypes = (directory: string): void => {
  const modules = join(root, "node_modules")
  const compilerOptions = {
    target: "ES2023",
    module: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    noEmit: true,
    typeRoots: [join(modules, "@types")],
    types: ["node"]
  }
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["program.ts"] }))
  try {
    run(directory, join(modules, ".bin/tsc"), ["-p", "tsconfig.json"])
  } catch (cause) {
    const output = cause instanceof Error && "stdout" in cause ? `${cause.stdout}` : ""
    throw new Error(`The README's first program does not compile against the tarball:\n${output}`, { cause })
  }
}

NodeRuntime.runMain(Effect.scoped(program))
