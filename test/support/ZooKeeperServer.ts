/**
 * Real ZooKeeper servers for tests: standalone ones and ensembles on free
 * loopback ports, whose members can be killed, frozen, thawed and restarted.
 *
 * Everything is scoped, and nothing outlives the test run, however it ends:
 * each JVM and each data directory is guarded by a shell that holds a pipe from
 * us and cleans up when the pipe closes, be it by SIGKILL.
 *
 * All waiting is done on the real clock, also under `TestClock`.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable, Writable } from "node:stream"
import type { Certificates } from "./Certificates.ts"
import { availability, type Program } from "./Installation.ts"

export { availability, canStart } from "./Installation.ts"

/** A server that could not be started, or did not do what was asked in time. */
export class ZooKeeperServerError extends Data.TaggedError("ZooKeeperServerError")<{ readonly message: string }> {}

export interface Options {
  /** In milliseconds. @default 500 */
  readonly tickTime?: number | undefined
  /** In milliseconds. @default 1000 */
  readonly minSessionTimeout?: number | undefined
  /** In milliseconds. @default 60000 */
  readonly maxSessionTimeout?: number | undefined
  /** Bytes a request, and one reply of another server, may have. @default ZooKeeper's own */
  readonly juteMaxBuffer?: number | undefined
  /** TTL and container znodes. @default true */
  readonly extendedTypes?: boolean | undefined
  /** How often empty containers and expired TTL znodes are collected, in milliseconds. @default 1000 */
  readonly containerCheckInterval?: number | undefined
  /** A second port that speaks TLS; with `unified` the first one speaks both. */
  readonly tls?: {
    readonly certificates: Certificates
    /** Which of the certificates the server shows. @default "server" */
    readonly shows?: string | undefined
    /** @default "need", as in ZooKeeper */
    readonly clientAuth?: "need" | "want" | "none" | undefined
    readonly unified?: boolean | undefined
    /** @default ZooKeeper's own: TLS 1.2 only */
    readonly version?: "TLSv1.2" | "TLSv1.3" | undefined
  } | undefined
  /** SASL DIGEST-MD5 for alice/secret-a, bob/secret-b and the super user super/secret-s. @default false */
  readonly sasl?: boolean | undefined
  /** More lines of `zoo.cfg`; they win over ours. */
  readonly config?: Readonly<Record<string, string | number | boolean>> | undefined
  /** More arguments for the JVM, for example `-Dreadonlymode.enabled=true`. */
  readonly jvm?: ReadonlyArray<string> | undefined
}

export type Mode = "standalone" | "leader" | "follower" | "observer" | "read-only"

export interface Member {
  readonly id: number
  readonly port: number
  /** Connect string of this member alone. */
  readonly hosts: string
  /** The port that speaks TLS, if there is one. */
  readonly securePort: number
  /** The answer to a four-letter word. */
  readonly command: (word: string) => Effect.Effect<string, ZooKeeperServerError>
  /** What the member says it is; `None` while it serves nobody. */
  readonly mode: Effect.Effect<Option.Option<Mode>>
  /** SIGKILL; completes when the process is gone. */
  readonly kill9: Effect.Effect<void>
  /** SIGSTOP: connections stay open and nothing is answered. */
  readonly freeze: Effect.Effect<void>
  /** SIGCONT. */
  readonly thaw: Effect.Effect<void>
  /** SIGTERM, and SIGKILL after ten seconds. */
  readonly stop: Effect.Effect<void>
  /** Starts the process again with the same data, after stopping it if it runs, and waits until it serves. */
  readonly restart: Effect.Effect<void, ZooKeeperServerError>
  /** Like `restart`, without waiting: for members which cannot serve yet, because too few others run. */
  readonly start: Effect.Effect<void, ZooKeeperServerError>
}

export interface Ensemble {
  /** Connect string of all members. */
  readonly hosts: string
  readonly members: ReadonlyArray<Member>
  /** The member that leads, once there is one. */
  readonly leader: Effect.Effect<Member, ZooKeeperServerError>
  /** The members that follow, once there is a leader. */
  readonly followers: Effect.Effect<ReadonlyArray<Member>, ZooKeeperServerError>
  /** Completes when every member leads or follows. */
  readonly serving: Effect.Effect<void, ZooKeeperServerError>
}

/** The super user of every server: `addAuth("digest", "super:superpw")`. */
export const superUser = "super:superpw"

/** One server of our own. */
export const standalone = (options: Options = {}): Effect.Effect<Member, ZooKeeperServerError, Scope.Scope> =>
  Effect.map(start(1, options), ([member]) => member)

/** Three servers of our own, all of them serving. Reconfiguration and read-only mode are enabled. */
export const ensemble = (options: Options = {}): Effect.Effect<Ensemble, ZooKeeperServerError, Scope.Scope> =>
  Effect.map(start(3, options), (members) => {
    const withMode = (mode: Mode) =>
      Effect.filter(members, (member) => Effect.map(member.mode, Option.contains(mode)), { concurrency: "unbounded" })
    const leader = Effect.map(withMode("leader"), ([member]) => Option.fromUndefinedOr(member))
    return {
      hosts: members.map((member) => member.hosts).join(","),
      members,
      leader: awaitSome("a leader", leader),
      followers: awaitSome(
        "a leader and its followers",
        Effect.flatMap(leader, Option.match({
          onNone: () => Effect.succeedNone,
          onSome: () => Effect.asSome(withMode("follower"))
        }))
      ),
      serving: Effect.forEach(members, serves, { concurrency: "unbounded", discard: true })
    }
  })

/** `ZK_HOSTS` if it is set, which nobody here may kill; otherwise a standalone server of our own. */
export const shared: Effect.Effect<{ readonly hosts: string }, ZooKeeperServerError, Scope.Scope> = Effect.suspend(
  () => {
    const { hosts } = availability()
    return hosts === undefined ? standalone() : Effect.succeed({ hosts })
  }
)

// --- Starting

const start = (
  size: number,
  options: Options
): Effect.Effect<readonly [Member, ...Array<Member>], ZooKeeperServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    return yield* startOnce(size, options).pipe(
      Scope.provide(scope),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  }).pipe(
    // Somebody may take a port between our finding it free and the server binding it.
    Effect.retry({ times: 2 }),
    onRealClock
  )

const startOnce = Effect.fnUntraced(function*(
  size: number,
  options: Options
): Effect.fn.Return<readonly [Member, ...Array<Member>], ZooKeeperServerError, Scope.Scope> {
  const { description, program } = availability()
  if (program === undefined) {
    return yield* new ZooKeeperServerError({ message: `Cannot start a server: ${description}` })
  }
  const root = yield* temporaryDirectory
  const ports = yield* freePorts(size * 4)
  const layouts = ports.slice(0, size).map((client, index): Layout => ({
    id: index + 1,
    directory: join(root, `${index + 1}`),
    client,
    quorum: ports[index + size] ?? client,
    election: ports[index + 2 * size] ?? client,
    secure: ports[index + 3 * size] ?? client
  }))
  const [first, ...others] = yield* Effect.forEach(layouts, (layout) => makeMember(program, layout, layouts, options))
  if (first === undefined) return yield* Effect.die("an ensemble without members")
  const members = [first, ...others] as const
  yield* Effect.forEach(members, (member) => member.restart, { concurrency: "unbounded", discard: true })
  yield* Effect.forEach(members, serves, { concurrency: "unbounded", discard: true })
  return members
})

interface Layout {
  readonly id: number
  readonly directory: string
  readonly client: number
  readonly quorum: number
  readonly election: number
  readonly secure: number
}

const address = "127.0.0.1"

const makeMember = Effect.fnUntraced(function*(
  program: Program,
  layout: Layout,
  layouts: ReadonlyArray<Layout>,
  options: Options
): Effect.fn.Return<Member, never, Scope.Scope> {
  const { client: port, id } = layout
  const log = join(layout.directory, "out.log")
  yield* Effect.sync(() => writeConfiguration(layout, layouts, options))

  let running: Guarded | undefined
  const signal = (name: NodeJS.Signals) => Effect.sync(() => running?.signal(name))
  const freeze = Effect.andThen(
    signal("SIGSTOP"),
    Effect.repeat(Effect.sync(() => running?.isStopped() ?? true), {
      until: (stopped) => stopped,
      schedule: Schedule.spaced("1 millis")
    })
  )
  const gone = Effect.suspend(() => running === undefined ? Effect.void : running.exited)
  const kill9 = Effect.andThen(signal("SIGKILL"), gone)
  const stop = signal("SIGTERM").pipe(
    Effect.andThen(signal("SIGCONT")),
    Effect.andThen(gone),
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => kill9 })
  )
  const launch = Effect.uninterruptible(Effect.gen(function*() {
    running = yield* guard(javaCommand(program, layout, options), log)
  }))
  yield* Effect.addFinalizer(() => kill9)

  const describeFailure = (problem: string) =>
    new ZooKeeperServerError({ message: `Server ${id} on port ${port} ${problem}. Its log ends with:\n${tail(log)}` })
  const isOurs = fourLetterWord(port, "conf").pipe(
    Effect.map((reply) => reply.includes(layout.directory)),
    Effect.orElseSucceed(() => false)
  )
  const mode = Effect.map(Effect.option(fourLetterWord(port, "srvr")), Option.flatMap(modeOf))
  const served = Effect.raceFirst(
    Effect.andThen(gone, Effect.suspend(() => Effect.fail(describeFailure("has died")))),
    mode.pipe(
      Effect.repeat({ until: Option.isSome, schedule: polling }),
      Effect.andThen(isOurs),
      Effect.filterOrFail((ours) => ours, () => describeFailure("is somebody else's")),
      Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail(describeFailure("does not serve")) })
    )
  )
  const start = Effect.andThen(stop, launch)

  return {
    id,
    port,
    hosts: `${address}:${port}`,
    securePort: layout.secure,
    command: (word) => onRealClock(fourLetterWord(port, word)),
    mode: onRealClock(mode),
    kill9: onRealClock(kill9),
    freeze: onRealClock(Effect.asVoid(freeze)),
    thaw: signal("SIGCONT"),
    stop: onRealClock(stop),
    restart: onRealClock(Effect.asVoid(Effect.andThen(start, served))),
    start: onRealClock(start)
  }
})

const writeConfiguration = (
  { client, directory, id, secure }: Layout,
  layouts: ReadonlyArray<Layout>,
  options: Options
): void => {
  const configuration = join(directory, "conf")
  const data = join(directory, "data")
  mkdirSync(configuration, { recursive: true })
  mkdirSync(data)
  const isEnsemble = layouts.length > 1
  const settings = {
    tickTime: options.tickTime ?? 500,
    minSessionTimeout: options.minSessionTimeout ?? 1000,
    maxSessionTimeout: options.maxSessionTimeout ?? 60_000,
    dataDir: data,
    maxClientCnxns: 0,
    "admin.enableServer": false,
    "4lw.commands.whitelist": "*",
    enforceQuota: true,
    extendedTypesEnabled: options.extendedTypes ?? true,
    reconfigEnabled: true,
    "snapshot.trust.empty": true,
    ...(isEnsemble
      ? {
        initLimit: 20,
        syncLimit: 10,
        standaloneEnabled: false,
        dynamicConfigFile: join(configuration, "zoo.cfg.dynamic")
      }
      : { clientPort: client, clientPortAddress: address }),
    ...tlsSettings(secure, options.tls),
    ...(options.sasl === true
      ? { "authProvider.sasl": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider" }
      : {}),
    ...options.config
  }
  writeFileSync(
    join(configuration, "jaas.conf"),
    "Server {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n" +
      "  user_super=\"secret-s\"\n  user_bob=\"secret-b\"\n  user_alice=\"secret-a\";\n};\n"
  )
  writeFileSync(join(configuration, "zoo.cfg"), lines(Object.entries(settings)))
  // Releases before 3.8 log with log4j, later ones with logback, Debian with slf4j-simple (see the JVM arguments).
  writeFileSync(
    join(configuration, "log4j.properties"),
    "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n" +
      "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n" +
      "log4j.appender.out.layout.ConversionPattern=%d %p %c %m%n\n"
  )
  writeFileSync(
    join(configuration, "logback.xml"),
    `<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder>` +
      `<pattern>%d %p %c %m%n</pattern></encoder></appender><root level="WARN"><appender-ref ref="out"/></root>` +
      `</configuration>`
  )
  if (isEnsemble) {
    writeFileSync(join(data, "myid"), `${id}`)
    writeFileSync(
      join(configuration, "zoo.cfg.dynamic"),
      lines(layouts.map((member) => [
        `server.${member.id}`,
        `${address}:${member.quorum}:${member.election}:participant;${address}:${member.client}`
      ]))
    )
  }
}

const tlsSettings = (port: number, tls: Options["tls"]): Record<string, string | number | boolean> => {
  if (tls === undefined) return {}
  const { certificates, clientAuth = "need", shows = "server", unified = false, version } = tls
  return {
    ...(unified ? { "client.portUnification": true } : { secureClientPort: port, secureClientPortAddress: address }),
    "ssl.keyStore.location": certificates.bundle(shows),
    "ssl.keyStore.type": "PEM",
    "ssl.trustStore.location": certificates.ca,
    "ssl.trustStore.type": "PEM",
    "ssl.clientAuth": clientAuth,
    "ssl.hostnameVerification": false,
    "authProvider.x509": "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
    ...(version === undefined ? {} : { "ssl.protocol": version, "ssl.enabledProtocols": version }),
    // ZooKeeper 3.8 enables no cipher of TLS 1.3 by itself.
    ...(version === "TLSv1.3" ? { "ssl.ciphersuites": "TLS_AES_256_GCM_SHA384" } : {})
  }
}

const lines = (entries: ReadonlyArray<readonly [string, string | number | boolean]>): string =>
  entries.map(([key, value]) => `${key}=${value}\n`).join("")

const javaCommand = ({ classPath, java }: Program, { directory }: Layout, options: Options): ReadonlyArray<string> => {
  const configuration = join(directory, "conf")
  return [
    java,
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dzookeeper.forceSync=no",
    "-Dzookeeper.jmx.log4j.disable=true",
    "-Dreadonlymode.enabled=true",
    `-Dzookeeper.extendedTypesEnabled=${options.extendedTypes ?? true}`,
    `-Dznode.container.checkIntervalMs=${options.containerCheckInterval ?? 1000}`,
    `-Dzookeeper.DigestAuthenticationProvider.superDigest=super:${
      createHash("sha1").update(superUser).digest("base64")
    }`,
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    ...(options.juteMaxBuffer === undefined ? [] : [`-Djute.maxbuffer=${options.juteMaxBuffer}`]),
    ...(options.tls === undefined
      ? []
      : ["-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory"]),
    ...(options.sasl === true
      ? [
        `-Djava.security.auth.login.config=${join(configuration, "jaas.conf")}`,
        "-Dzookeeper.superUser=super",
        "-Dzookeeper.fips-mode=false"
      ]
      : []),
    ...options.jvm ?? [],
    "-cp",
    [configuration, ...classPath].join(":"),
    "org.apache.zookeeper.server.quorum.QuorumPeerMain",
    join(configuration, "zoo.cfg")
  ]
}

// --- Processes that do not outlive us

interface Guarded {
  readonly signal: (name: NodeJS.Signals) => void
  /** Whether none of its threads runs any more: SIGSTOP reaches one after the other. */
  readonly isStopped: () => boolean
  readonly exited: Effect.Effect<void>
}

// `read` fails when our end of the pipe closes, however we ended.
const untilWeAreGone = "while read -r line; do :; done"

const guardScript = `
exec 3<&0
log=$1; shift
"$@" </dev/null >>"$log" 2>&1 3<&- &
server=$!
{ ${untilWeAreGone}; kill -KILL $server; } <&3 >/dev/null 2>&1 &
guard=$!
echo $server
exec 3<&- >/dev/null
wait $server
kill $guard
`

/** Starts a command that is killed when this process ends. */
const guard = (command: ReadonlyArray<string>, log: string): Effect.Effect<Guarded, ZooKeeperServerError> =>
  Effect.callback((resume) => {
    const shell = shellWith(guardScript, log, ...command)
    shell.once("error", (error) => resume(Effect.fail(new ZooKeeperServerError({ message: `${error}` }))))
    shell.stdout.once("data", (line) =>
      resume(Effect.succeed({
        signal: (name) => {
          if (isAlive(shell)) process.kill(Number(line), name)
        },
        isStopped: () => !isAlive(shell) || threadStates(Number(line)).every((state) => state === "T"),
        exited: exitOf(shell)
      })))
  })

/** As Linux tells them; none elsewhere, and of a process that has gone. */
const threadStates = (pid: number): ReadonlyArray<string> => {
  const tasks = `/proc/${pid}/task`
  try {
    // The name of a thread stands in parentheses, and may have some itself.
    return readdirSync(tasks).map((task) => /.*\) (.)/s.exec(readFileSync(join(tasks, task, "stat"), "utf8"))?.[1] ?? "")
  } catch {
    return []
  }
}

/** A directory that is removed with the scope, or when this process ends. */
const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const directory = mkdtempSync(join(isWritable("/dev/shm") ? "/dev/shm" : tmpdir(), "effect-zookeeper-"))
    // A server that is being killed may still add a file.
    const removal = `${untilWeAreGone}; until rm -rf "$1"; do sleep 0.1; done`
    return { directory, guard: shellWith(removal, directory) }
  }),
  ({ guard }) =>
    Effect.suspend(() => {
      guard.stdin.end()
      return exitOf(guard)
    })
).pipe(Effect.map(({ directory }) => directory))

type Shell = ChildProcessByStdio<Writable, Readable, null>

// Detached, so that a Ctrl-C in the terminal reaches only us.
const shellWith = (script: string, ...parameters: ReadonlyArray<string>): Shell =>
  spawn("sh", ["-c", script, "effect-zookeeper", ...parameters], { detached: true, stdio: ["pipe", "pipe", "ignore"] })

const isAlive = (shell: Shell): boolean => shell.exitCode === null && shell.signalCode === null

const exitOf = (shell: Shell): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (!isAlive(shell)) return resume(Effect.void)
    const listener = () => resume(Effect.void)
    shell.once("exit", listener)
    return Effect.sync(() => void shell.off("exit", listener))
  })

const isWritable = (directory: string): boolean => {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}

const tail = (file: string): string => {
  try {
    return readFileSync(file, "utf8").split("\n").slice(-30).join("\n")
  } catch {
    return "(no log)"
  }
}

// --- Talking to a server

/** Sends a four-letter word and reads all of the answer. */
export const fourLetterWord = (port: number, word: string): Effect.Effect<string, ZooKeeperServerError> =>
  Effect.callback<string, ZooKeeperServerError>((resume) => {
    const chunks: Array<Buffer> = []
    const socket = connect({ host: address, port })
    socket.setTimeout(1000, () => socket.destroy(new Error("no answer within a second")))
    socket.on("connect", () => socket.write(word))
    socket.on("data", (chunk) => chunks.push(chunk))
    socket.on("end", () => resume(Effect.succeed(Buffer.concat(chunks).toString())))
    socket.on("error", (error) => resume(Effect.fail(new ZooKeeperServerError({ message: `${word}: ${error}` }))))
    return Effect.sync(() => void socket.destroy())
  })

const modeOf = (reply: string): Option.Option<Mode> =>
  Option.map(Option.fromNullishOr(/^Mode: (\S+)/m.exec(reply)), ([, mode]) => mode as Mode)

const patience = Duration.seconds(60)

const polling = Schedule.spaced("50 millis")

const awaitSome = <A>(
  what: string,
  look: Effect.Effect<Option.Option<A>>
): Effect.Effect<A, ZooKeeperServerError> =>
  look.pipe(
    Effect.flatMap(Effect.fromOption),
    Effect.retry(polling),
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(new ZooKeeperServerError({ message: `No ${what} within a minute` }))
    }),
    Effect.catchTag("NoSuchElementError", Effect.die),
    onRealClock
  )

const serves = (member: Member): Effect.Effect<void, ZooKeeperServerError> =>
  Effect.asVoid(awaitSome(
    `server ${member.id} that serves`,
    Effect.map(member.mode, Option.filter((mode) => mode !== "read-only"))
  ))

// --- Ports

/**
 * Free ports below the range from which the system takes the local ports of
 * outgoing connections, so that a killed member finds its own free again.
 */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.gen(function*() {
    const ports = new Set<number>()
    while (ports.size < count) {
      const port = 10_000 + Math.floor(Math.random() * 22_000)
      if (yield* isFree(port)) ports.add(port)
    }
    return [...ports]
  })

const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, address, () => server.close(() => resume(Effect.succeed(true))))
  })

/** Processes and sockets know nothing of `TestClock`. */
function onRealClock<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
  return Effect.provideService(effect, Clock.Clock, Clock.Clock.defaultValue())
}
