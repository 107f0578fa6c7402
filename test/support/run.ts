/**
 * `npm test`: makes sure that a real ZooKeeper can be had, runs vitest with the
 * arguments given, and closes with a line that says how many tests passed.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { install, installStrangers } from "./Installation.ts"

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: ReadonlyArray<{
    readonly status: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string }>
  }>
}

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")
const directory = mkdtempSync(join(tmpdir(), "effect-zookeeper-report-"))
const file = join(directory, "report.json")

const { hosts, program } = install()
installStrangers()
// Over the channel vitest learns when this process is killed (see globalSetup.ts).
const run = spawn(
  process.execPath,
  [vitest, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${file}`, ...process.argv.slice(2)],
  { stdio: ["inherit", "inherit", "inherit", "ipc"] }
)
// A Ctrl-C reaches vitest too: wait until it has closed.
process.on("SIGINT", () => {})
process.on("SIGTERM", () => run.kill("SIGTERM"))
const [status] = (await once(run, "exit")) as [number | null]

const readReport = (): Report | undefined => {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report
  } catch {
    return undefined
  }
}
const report = readReport()
rmSync(directory, { recursive: true })

const passed = report?.numPassedTests ?? 0
const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0)
// A file that cannot be loaded has no tests that could fail, and a run that stops early has no report.
const brokenFiles = report?.testResults.filter(({ assertionResults, status }) =>
  status === "failed" && assertionResults.every((test) => test.status !== "failed")
)
const broken = brokenFiles?.length ?? 1
const failed = (report?.numFailedTests ?? 0) + broken

if (hosts === undefined && program === undefined) {
  console.warn("\nThe tests against a real ZooKeeper did not run: there is none (see the notice at the top)")
}
if (status !== 0 && failed === 0) console.error("\nErrors outside of the tests: see above")
if (passed + failed === 0) console.error("\nNo test was executed")
process.exitCode = status !== 0 || failed > 0 || passed === 0 ? 1 : 0
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`)
