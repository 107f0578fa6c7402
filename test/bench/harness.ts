/**
 * What every measured process does: read its command line, run one workload
 * on one client, and print one line of JSON.
 *
 * `--host H:P --workload W --ops N --inflight K --size S --warmup M [--root /bench]`
 */
import { readFileSync } from "node:fs"

export type Kind = "get" | "set" | "createdel" | "children"

/** A closed loop: as many operations outstanding as `inflight` says, until `ops` are done. */
export interface Load {
  readonly kind: Kind
  readonly path: string
  readonly data: Uint8Array
  readonly ops: number
  readonly inflight: number
  readonly begin: (index: number) => void
  readonly end: (index: number) => void
}

/** Locks, again and again, as long as `begin` says so. */
export interface Cycles {
  readonly begin: () => boolean
  readonly held: () => void
  readonly end: () => void
}

/** A client as the workloads need it. */
export interface Driver<Client> {
  readonly name: string
  readonly connect: (host: string) => Promise<Client>
  readonly close: (client: Client) => Promise<void>
  readonly get: (client: Client, path: string) => Promise<unknown>
  readonly drive: (client: Client, load: Load) => Promise<unknown>
  /** Resolves when all paths are watched; `onEvent` is called once for each. */
  readonly watch: (client: Client, paths: ReadonlyArray<string>, onEvent: () => void) => Promise<unknown>
  readonly lock?: (client: Client, path: string, cycles: Cycles) => Promise<unknown>
}

/** For clients with callbacks: each completion starts the next operation. */
export const pump = (
  ops: number,
  inflight: number,
  start: (index: number, done: (error: unknown) => void) => void
): Promise<void> =>
  new Promise((resolve, reject) => {
    let issued = 0
    let done = 0
    let running = false
    let owed = 0
    const next = (): void => {
      start(issued++, (error) => {
        if (error) return reject(error instanceof Error ? error : new Error(String(error)))
        if (++done === ops) return resolve()
        owed++
        if (running) return
        running = true
        for (; owed > 0; owed--) if (issued < ops) next()
        running = false
      })
    }
    for (let i = Math.min(inflight, ops); i > 0; i--) next()
  })

const parse = (argv: ReadonlyArray<string>) => {
  const given = new Map<string, string>()
  for (let i = 0; i + 1 < argv.length; i += 2) given.set((argv[i] ?? "").replace(/^--/, ""), argv[i + 1] ?? "")
  const number = (name: string, fallback: number) => Number(given.get(name) ?? fallback)
  const ops = number("ops", 10_000)
  const warmup = number("warmup", -1)
  return {
    host: given.get("host") ?? "127.0.0.1:2181",
    workload: given.get("workload") ?? "get",
    root: given.get("root") ?? "/bench",
    ops,
    inflight: number("inflight", 1),
    size: number("size", 1024),
    warmup: warmup < 0 ? Math.min(20_000, Math.ceil(ops / 4)) : warmup
  }
}

const residentMb = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024
const heapMb = (): number => process.memoryUsage().heapUsed / 1_048_576
const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

const settle = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    await sleep(50)
  }
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits))

const measure = async (work: () => Promise<unknown>) => {
  const before = process.cpuUsage()
  const start = performance.now()
  await work()
  const wall = performance.now() - start
  const { system, user } = process.cpuUsage(before)
  return { wall_s: wall / 1000, cpu_user_s: user / 1e6, cpu_sys_s: system / 1e6 }
}

type Measured = Awaited<ReturnType<typeof measure>>

class Latencies {
  private readonly times: Float64Array
  constructor(count: number) {
    this.times = new Float64Array(count)
  }
  readonly begin = (index: number): void => {
    this.times[index] = performance.now()
  }
  readonly end = (index: number): void => {
    this.times[index] = performance.now() - (this.times[index] ?? 0)
  }
  get first(): number {
    return round((this.times[0] ?? 0) * 1000, 1)
  }
  get quantiles() {
    const sorted = this.times.toSorted()
    const at = (share: number) => round((sorted[Math.floor(sorted.length * share)] ?? 0) * 1000, 1)
    return { p50_us: at(0.5), p99_us: at(0.99) }
  }
}

class Countdown {
  /** When the first came. */
  first = 0
  readonly over: Promise<void>
  private left: number
  private end: (() => void) | undefined
  constructor(count: number) {
    this.left = count
    this.over = new Promise((resolve) => this.end = resolve)
  }
  readonly next = (): void => {
    this.first ||= performance.now()
    if (--this.left === 0) this.end?.()
  }
}

const print = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

const nextLine = (): Promise<void> =>
  new Promise((resolve) => {
    process.stdin.once("data", () => resolve())
    process.stdin.resume()
  })

const memory = async (work: () => Promise<unknown>): Promise<readonly [Measured, object]> => {
  await settle()
  const resident = residentMb()
  const heap = heapMb()
  const measured = await measure(work)
  await settle()
  return [measured, {
    rss_delta_mb: round(residentMb() - resident, 2),
    heap_delta_mb: round(heapMb() - heap, 2)
  }]
}

const watchedPaths = (root: string, count: number): Array<string> =>
  Array.from({ length: count }, (_, i) => `${root}/w/n${String(i).padStart(10, "0")}`)

/** Runs what the command line says, prints the result, and exits. */
export const run = async <Client>(driver: Driver<Client>): Promise<never> => {
  const { host, inflight, ops, root, size, warmup, workload } = parse(process.argv.slice(2))
  const base = { client: driver.name, workload, ops, inflight, size }
  const finish = (measured: Measured, extra: object = {}) => {
    const usage = process.resourceUsage()
    print({
      ...base,
      wall_s: round(measured.wall_s, 6),
      cpu_user_s: round(measured.cpu_user_s, 6),
      cpu_sys_s: round(measured.cpu_sys_s, 6),
      p50_us: null,
      p99_us: null,
      rss_mb: round(residentMb(), 1),
      max_rss_mb: round(usage.maxRSS / 1024, 1),
      ...extra,
      proc_user_s: round(usage.userCPUTime / 1e6, 4),
      proc_sys_s: round(usage.systemCPUTime / 1e6, 4)
    })
  }
  const fail = (error: unknown): never => {
    print({ ...base, error: String(error instanceof Error ? error.stack : error).split("\n").slice(0, 4).join(" | ") })
    process.exit(1)
  }
  process.on("uncaughtException", fail)
  process.on("unhandledRejection", fail)

  const loop = async (kind: Kind): Promise<void> => {
    const path = kind === "children" ? `${root}/c${size}` : kind === "createdel" ? `${root}/e/x-` : `${root}/s${size}`
    const client = await driver.connect(host)
    const drive = (count: number, { begin, end }: Latencies) =>
      driver.drive(client, { kind, path, data: new Uint8Array(size).fill(120), ops: count, inflight, begin, end })
    if (warmup > 0) await drive(warmup, new Latencies(warmup))
    const latencies = new Latencies(ops)
    finish(await measure(() => drive(ops, latencies)), latencies.quantiles)
    await driver.close(client)
  }

  /** Connect, read, close: one after the other. */
  const connections = async (): Promise<void> => {
    const latencies = new Latencies(ops)
    let firstEpoch = 0
    const measured = await measure(async () => {
      for (let i = 0; i < ops; i++) {
        latencies.begin(i)
        const client = await driver.connect(host)
        await driver.get(client, `${root}/s${size}`)
        latencies.end(i)
        firstEpoch ||= Math.round((performance.timeOrigin + performance.now()) * 1000)
        await driver.close(client)
      }
    })
    finish(measured, { ...latencies.quantiles, first_us: latencies.first, first_epoch_us: firstEpoch })
  }

  /** Two rounds, the first one to warm up; whoever started us fires the watches once we are ready. */
  const watches = async (): Promise<void> => {
    const client = await driver.connect(host)
    for (const isWarm of [false, true]) {
      const events = new Countdown(ops)
      const set = await measure(() => driver.watch(client, watchedPaths(root, ops), events.next))
      await settle()
      print({ ready: true })
      await nextLine()
      const measured = await measure(() => events.over)
      if (isWarm) {
        finish({ ...measured, wall_s: (performance.now() - events.first) / 1000 }, {
          set_wall_s: round(set.wall_s, 6),
          set_cpu_s: round(set.cpu_user_s + set.cpu_sys_s, 6)
        })
      }
    }
    await driver.close(client)
  }

  const memoryOfWatches = async (): Promise<void> => {
    const client = await driver.connect(host)
    const { begin, end } = new Latencies(5000)
    const path = `${root}/s${size}`
    await driver.drive(client, { kind: "get", path, data: new Uint8Array(0), ops: 5000, inflight: 16, begin, end })
    finish(...await memory(() => driver.watch(client, watchedPaths(root, ops), () => {})))
    await driver.close(client)
  }

  const memoryOfSessions = async (): Promise<void> => {
    const open = (count: number) => Promise.all(Array.from({ length: count }, () => driver.connect(host)))
    await Promise.all((await open(5)).map(driver.close))
    const all: Array<Client> = []
    const [measured, grown] = await memory(async () => {
      while (all.length < ops) all.push(...await open(Math.min(20, ops - all.length)))
    })
    const idle = await measure(() => sleep(5000))
    const idleCpu = (idle.cpu_user_s + idle.cpu_sys_s) * 1000 / idle.wall_s
    finish(measured, { ...grown, idle_cpu_ms_per_s: round(idleCpu, 2) })
  }

  type Locking = NonNullable<Driver<Client>["lock"]>

  const locks = async (lock: Locking): Promise<void> => {
    const client = await driver.connect(host)
    const cycle = (count: number, { begin, end }: Latencies) => {
      let index = 0
      return lock(client, `${root}/lock`, {
        begin: () => {
          begin(index)
          return index < count
        },
        held: () => {},
        end: () => end(index++)
      })
    }
    await cycle(warmup, new Latencies(warmup))
    const latencies = new Latencies(ops)
    finish(await measure(() => cycle(ops, latencies)), latencies.quantiles)
    await driver.close(client)
  }

  /** As many sessions as `inflight` says; the latency is from one holder's turn to the next one's. */
  const contendedLocks = async (lock: Locking): Promise<void> => {
    const clients = await Promise.all(Array.from({ length: inflight }, () => driver.connect(host)))
    const contend = (count: number, { begin, end }: Latencies) => {
      let index = 0
      const begun = () => index < count
      begin(0)
      return Promise.all(clients.map((client) =>
        lock(client, `${root}/lock`, {
          begin: begun,
          held: () => {
            end(index++)
            begin(index)
          },
          end: () => {}
        })
      ))
    }
    await contend(warmup, new Latencies(warmup + inflight))
    const latencies = new Latencies(ops)
    finish(await measure(() => contend(ops, latencies)), latencies.quantiles)
    await Promise.all(clients.map(driver.close))
  }

  const { lock } = driver
  const workloads: Record<string, (() => Promise<void>) | undefined> = {
    get: () => loop("get"),
    set: () => loop("set"),
    createdel: () => loop("createdel"),
    children: () => loop("children"),
    connect: connections,
    cold: connections,
    watch: watches,
    "mem-watches": memoryOfWatches,
    "mem-sessions": memoryOfSessions,
    lock: lock && (() => locks(lock)),
    "lock-contend": lock && (() => contendedLocks(lock))
  }
  const chosen = workloads[workload]
  if (chosen === undefined) print({ ...base, unsupported: true })
  else await chosen()
  process.exit(0)
}
