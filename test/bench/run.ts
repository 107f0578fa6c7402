/**
 * `npm run bench`: CPU per request of this client, of the least that Node can
 * do, and of npm `node-zookeeper-client`, each in a process of its own and
 * interleaved, against a responder that answers at wire speed.
 *
 * `npm run bench -- [--cases get-1,get-256] [--repeat 3] [--seconds 0.5] [--timeout 60]`
 *
 * CPU time (user and system) moves less with the neighbours than throughput
 * does, ratios within one run less than either. Nothing here passes or fails;
 * a process that takes longer than `timeout` (seconds) is given up.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { availableParallelism, cpus, tmpdir } from "node:os"
import { join } from "node:path"

interface Case {
  readonly id: string
  readonly workload: string
  readonly inflight: number
  readonly size: number
  /** Operations of the run that finds out how many take the time wanted, or of every run where that is no matter. */
  readonly ops: number
  readonly isTimed?: boolean
}

const timed = (workload: string, inflight: number, size: number, ops: number): Case => ({
  id: `${workload}-${inflight}`,
  workload,
  inflight,
  size,
  ops,
  isTimed: true
})

const all: ReadonlyArray<Case> = [
  timed("get", 1, 1024, 2000),
  timed("get", 16, 1024, 5000),
  timed("get", 256, 1024, 5000),
  timed("get", 4096, 1024, 20_000),
  timed("set", 1, 1024, 2000),
  timed("set", 256, 1024, 5000),
  timed("createdel", 1, 16, 1000),
  timed("createdel", 256, 16, 5000),
  timed("children", 1, 10_000, 50),
  { ...timed("get", 4, 524_288, 50), id: "big-4" },
  { ...timed("connect", 1, 1024, 20), id: "connect" },
  { id: "watch", workload: "watch", inflight: 1, size: 1024, ops: 10_000 }
]

const option = (name: string, fallback: string): string => {
  const index = process.argv.indexOf(`--${name}`)
  return index < 0 ? fallback : process.argv[index + 1] ?? fallback
}

const repeat = Number(option("repeat", "3"))
const seconds = Number(option("seconds", "0.5"))
const timeout = Number(option("timeout", "60"))
const wanted = option("cases", all.map(({ id }) => id).join(",")).split(",")
const cases = all.filter(({ id }) => wanted.includes(id))

const modules = mkdtempSync(join(tmpdir(), "effect-zookeeper-bench-"))
const children = new Set<ChildProcess>()
const cleanUp = (): void => {
  for (const child of children) child.kill("SIGKILL")
  rmSync(modules, { recursive: true, force: true })
}
process.on("exit", cleanUp)
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1))

const here = (file: string): string => join(import.meta.dirname, file)

const start = (args: ReadonlyArray<string>): ChildProcess => {
  const child = spawn(process.execPath, ["--expose-gc", ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, BENCH_MODULES: modules }
  })
  children.add(child)
  child.on("close", () => children.delete(child))
  return child
}

const onLine = (child: ChildProcess, f: (line: string) => void): void => {
  let rest = ""
  child.stdout?.on("data", (chunk) => {
    const lines = (rest + String(chunk)).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) f(line)
  })
}

const frame = (size: number, ints: Readonly<Record<number, number>>): Buffer => {
  const bytes = Buffer.alloc(4 + size)
  bytes.writeInt32BE(size)
  for (const [at, value] of Object.entries(ints)) bytes.writeInt32BE(value, 4 + Number(at))
  return bytes
}

/** Fires all watches: an empty transaction, over a connection of its own. */
const fire = (port: number): void => {
  const socket = connect({ host: "127.0.0.1", port })
  socket.write(frame(44, { 12: 30_000, 24: 16 }))
  socket.once("data", () => {
    socket.write(frame(17, { 0: 1, 4: 14, 8: -1, 13: -1 }))
    socket.once("data", () => socket.destroy())
  })
}

interface Result {
  readonly ops: number
  readonly wall_s: number
  readonly cpu_user_s: number
  readonly cpu_sys_s: number
  readonly error?: string
}

const measure = (port: number, client: ReadonlyArray<string>, chosen: Case, ops: number): Promise<Result> =>
  new Promise((resolve, reject) => {
    const settings = {
      host: `127.0.0.1:${port}`,
      workload: chosen.workload,
      ops,
      inflight: chosen.inflight,
      size: chosen.size,
      warmup: ops
    }
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
    const child = start([...client, ...args])
    let result: Result | undefined
    onLine(child, (line) => {
      const printed = JSON.parse(line)
      if (printed.ready !== true) result = printed
      else {
        child.stdin?.write("\n")
        setTimeout(() => fire(port), 30)
      }
    })
    // Also one that has its result and does not exit: Node now and then hangs while it ends.
    const limit = setTimeout(() => child.kill("SIGKILL"), timeout * 1000)
    child.on("close", (code, signal) => {
      clearTimeout(limit)
      if (result === undefined || result.error !== undefined) {
        const problem = signal === "SIGKILL" ? `nothing within ${timeout} s` : `exit ${code}`
        reject(new Error(`${client[0]} ${chosen.id}: ${result?.error ?? problem}`))
      } else {
        resolve(result)
      }
    })
  })

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] ?? NaN : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

const report = (error: unknown): undefined => {
  console.error(error instanceof Error ? error.message : error)
}

const digits = (value: number): string => Number.isNaN(value) ? "–" : value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2)

writeFileSync(join(modules, "package.json"), "{}")
console.log("installing node-zookeeper-client 1.1.3 …")
const npm = ["install", "--silent", "--no-audit", "--no-fund", "node-zookeeper-client@1.1.3"]
execFileSync("npm", npm, { cwd: modules, stdio: "inherit" })

const clients = new Map<string, ReadonlyArray<string>>([
  ["floor, callbacks", [here("floor.ts")]],
  ["floor, Effect", [here("floor.ts"), "--api", "effect"]],
  ["effect-zookeeper", [here("adapter.ts")]],
  ["node-zookeeper-client", [here("peer.ts")]]
])

const responder = start([here("responder.ts")])
const port = await new Promise<number>((resolve) => onLine(responder, (line) => resolve(Number(line))))

const model = cpus()[0]?.model.trim() ?? "unknown"
console.log(`CPU µs per request; Node ${process.versions.node}, ${availableParallelism()} × ${model}`)
console.log(`medians of ${repeat}, each client a process of its own\n`)
console.log(`| | ${[...clients.keys()].join(" | ")} |`)
console.log(`|---|${"---:|".repeat(clients.size)}`)
for (const chosen of cases) {
  const counts = new Map<string, number>()
  const times = new Map<string, Array<number>>()
  for (let turn = 0; turn <= repeat; turn++) {
    const names = [...clients.keys()]
    for (const name of turn % 2 === 0 ? names : names.toReversed()) {
      const ops = counts.get(name) ?? chosen.ops
      const result = await measure(port, clients.get(name) ?? [], chosen, ops).catch(report)
      if (result === undefined) continue
      if (chosen.isTimed === true) counts.set(name, Math.max(10, Math.round(ops / result.wall_s * seconds)))
      // The first turn only finds out how much to do.
      const time = (result.cpu_user_s + result.cpu_sys_s) * 1e6 / result.ops
      if (turn > 0) times.set(name, [...times.get(name) ?? [], time])
    }
  }
  const row = [...clients.keys()].map((name) => digits(median(times.get(name) ?? [])))
  console.log(`| ${chosen.id} | ${row.join(" | ")} |`)
}
process.exit(0)
