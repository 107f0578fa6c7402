/**
 * Where a real ZooKeeper can be had on this machine: `ZK_HOSTS` (an ensemble
 * that runs already), `ZOOKEEPER_HOME` (an unpacked release), or the jars of
 * Debian's `zookeeper` package.
 */
import { spawnSync } from "node:child_process"
import { accessSync, constants, existsSync, readdirSync } from "node:fs"
import { delimiter, join } from "node:path"

/** What was found. `description` is one line for people. */
export interface Availability {
  /** An ensemble that runs already, from `ZK_HOSTS`. */
  readonly hosts: string | undefined
  /** What is needed to start servers of our own. */
  readonly program: Program | undefined
  readonly description: string
}

export interface Program {
  readonly java: string
  readonly classPath: ReadonlyArray<string>
}

/** How a reader without any server gets one. */
export const advice = [
  "To run the tests against a real ZooKeeper, do one of these:",
  "  - apt-get install -y --no-install-recommends zookeeper openjdk-17-jre-headless",
  "  - unpack a release from https://zookeeper.apache.org and set ZOOKEEPER_HOME to its folder (needs Java)",
  "  - set ZK_HOSTS to a running ensemble, for example ZK_HOSTS=127.0.0.1:2181"
].join("\n")

/** Looks anew at each call, because `install` changes the answer. */
export const availability = (): Availability => {
  const hosts = process.env["ZK_HOSTS"] || undefined
  const java = findJava()
  const [origin, classPath] = findClassPath()
  const program = java !== undefined && classPath.length > 0 ? { java, classPath } : undefined
  const found = [
    ...(hosts === undefined ? [] : [`ZK_HOSTS=${hosts}`]),
    ...(program === undefined ? [] : [`${origin}, started with ${program.java}`])
  ]
  const problem = classPath.length === 0 ? `${origin}: no jars` : "no java"
  return { hosts, program, description: found.length > 0 ? found.join("; ") : problem }
}

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const findJava = (): string | undefined => {
  const home = process.env["JAVA_HOME"]
  const folders = (process.env["PATH"] ?? "").split(delimiter)
  return [...(home === undefined ? [] : [join(home, "bin")]), ...folders]
    .map((folder) => join(folder, "java"))
    .find(isExecutable)
}

const debianFolder = "/usr/share/java"

// The manifest of Debian's zookeeper.jar names most of its dependencies; the rest is what it forgets.
const debianJars = [
  "zookeeper",
  "zookeeper-jute",
  "slf4j-api",
  "slf4j-simple",
  "netty-buffer",
  "netty-codec",
  "netty-common",
  "netty-handler",
  "netty-resolver",
  "netty-transport",
  "netty-transport-native-epoll",
  "netty-transport-native-unix-common",
  "netty-tcnative",
  "commons-cli",
  "commons-io",
  "jackson-core",
  "jackson-databind",
  "jackson-annotations",
  "metrics-core",
  "snappy-java",
  "dnsjava",
  "jetty9-server",
  "jetty9-servlet",
  "jetty9-util",
  "jetty9-util-ajax",
  "jetty9-http",
  "jetty9-io",
  "jetty9-security",
  "servlet-api",
  "findbugs-annotations",
  "jline3"
]

const findClassPath = (): readonly [origin: string, classPath: ReadonlyArray<string>] => {
  const home = process.env["ZOOKEEPER_HOME"] || undefined
  if (home !== undefined) {
    const jars = [home, join(home, "lib")].filter(existsSync).flatMap((folder) =>
      readdirSync(folder).filter((name) => name.endsWith(".jar")).map((name) => join(folder, name))
    )
    return [`ZOOKEEPER_HOME=${home}`, jars]
  }
  const jars = debianJars.map((name) => join(debianFolder, `${name}.jar`)).filter(existsSync)
  return ["Debian's zookeeper package", jars.includes(join(debianFolder, "zookeeper.jar")) ? jars : []]
}

/**
 * Makes sure that a server can be had, by installing Debian's package when
 * there is no other way and we have the right to. Returns what is there then.
 */
export const install = (): Availability => {
  const before = availability()
  if (before.hosts !== undefined || before.program !== undefined) return before
  // Whoever names a release wants that one.
  if (process.env["ZOOKEEPER_HOME"]) return before
  if (process.getuid?.() !== 0 || spawnSync("apt-get", ["--version"]).status !== 0) return before
  console.log("No ZooKeeper on this machine: installing Debian's package")
  aptGet("update")
  // Newer Debian has another Java, under a name that does not change.
  if (!aptGet("install", "zookeeper", "openjdk-17-jre-headless")) aptGet("install", "zookeeper", "default-jre-headless")
  return availability()
}

const aptGet = (command: "update" | "install", ...packages: ReadonlyArray<string>): boolean =>
  spawnSync("apt-get", ["-q", "-y", "-o", "Acquire::Retries=3", "--no-install-recommends", command, ...packages], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  }).status === 0

/** Clients of other languages, each `undefined` where it cannot be had. */
export interface Strangers {
  /** A Python that has kazoo. */
  readonly kazoo: string | undefined
  /** Java, and the jars that its shell needs. */
  readonly java: Program | undefined
  /** The shell of the C client. */
  readonly shell: string | undefined
}

const findStrangers = (): Strangers => ({
  kazoo: ["/usr/bin/python3", "python3"].find((python) => spawnSync(python, ["-c", "import kazoo"]).status === 0),
  java: availability().program,
  shell: ["/usr/lib/zookeeper/bin/cli_mt", "/usr/bin/cli_mt"].find(isExecutable)
})

/** The Debian packages of those that cannot be had. */
export const missingStrangers = ({ java, kazoo, shell }: Strangers = strangers): ReadonlyArray<string> => [
  ...(kazoo === undefined ? ["python3-kazoo"] : []),
  ...(java === undefined ? ["zookeeper"] : []),
  ...(shell === undefined ? ["zookeeper-bin"] : [])
]

/** What is there when the module is loaded. */
export const strangers: Strangers = findStrangers()

/** Installs what is missing of them, where we have the right to, and says what remains so. */
export const installStrangers = (): ReadonlyArray<string> => {
  const packages = missingStrangers()
  if (packages.length === 0) return packages
  if (process.getuid?.() !== 0 || spawnSync("apt-get", ["--version"]).status !== 0) return packages
  console.log(`Installing clients of other languages: ${packages.join(" ")}`)
  aptGet("update")
  for (const each of packages) aptGet("install", each)
  return missingStrangers(findStrangers())
}

/** Whether tests may start, kill and freeze servers of their own. */
export const canStart = availability().program !== undefined
