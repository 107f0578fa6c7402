/**
 * Where the servers are: `zk1:2181,zk2:2181,[::1]:2181/chroot`.
 *
 * The format is that of the Java client and of kazoo. Credentials and URLs are
 * not part of it and are refused, without repeating a password.
 *
 * @since 0.1.0
 */
import { isReadonlyArrayNonEmpty, type NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as ZnodePath from "./ZnodePath.ts"
import { BadArguments } from "./ZooKeeperError.ts"

/**
 * The port that is meant where none is given: 2181.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultPort = 2181

/**
 * One server.
 *
 * @category models
 * @since 0.1.0
 */
export interface Host {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string
  /** From 1 to 65535. */
  readonly port: number
}

/**
 * The servers of an ensemble, and the znode that clients see as their root.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConnectionString {
  /** In the order they were written. */
  readonly hosts: NonEmptyReadonlyArray<Host>
  /** A legal path other than `/`, or `""` for none. */
  readonly chroot: string
}

const isIpv6 = (address: string): boolean => {
  const zone = address.indexOf("%")
  const bare = zone < 0 ? address : address.slice(0, zone)
  return zone !== address.length - 1 && /^[0-9A-Fa-f:.]+$/.test(bare) && URL.canParse(`http://[${bare}]`)
}

const isName = (text: string): boolean => /^[\p{L}\p{M}\p{N}._-]+$/u.test(text)

/** Strings are problems. */
const parsePort = (text: string): number | string => {
  if (text === "") return defaultPort
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65535 ? port : "the port is not a number from 1 to 65535"
}

const parseBracketed = (entry: string): Host | string => {
  const end = entry.indexOf("]")
  if (end < 0) return "the bracket around the IPv6 address is not closed"
  const host = entry.slice(1, end)
  if (!isIpv6(host)) return "what stands in the brackets is not an IPv6 address"
  if (end < entry.length - 1 && entry[end + 1] !== ":") return "the brackets are followed by more than a port"
  const port = parsePort(entry.slice(end + 2))
  return typeof port === "string" ? port : { host, port }
}

const parseHost = (entry: string): Host | string => {
  if (entry.startsWith("[")) return parseBracketed(entry)
  const colon = entry.indexOf(":")
  const host = colon < 0 ? entry : entry.slice(0, colon)
  if (colon >= 0 && entry.includes(":", colon + 1)) {
    return isIpv6(entry)
      ? "an IPv6 address stands in brackets, e.g. \"[::1]:2181\""
      : "there is more than one \":\", expected \"host:port\""
  }
  if (host === "") return "there is no host before the port"
  if (!isName(host)) return "this is not the name of a host; hosts are separated by commas"
  const port = colon < 0 ? defaultPort : parsePort(entry.slice(colon + 1))
  return typeof port === "string" ? port : { host, port }
}

const parseChroot = (text: string): Result.Result<string, string> => {
  if (text === "" || text === "/") return Result.succeed("")
  if (text.includes(",")) return Result.fail("the chroot stands only once, after the last host, and has no comma")
  const problem = ZnodePath.problemOf(text)
  return problem === undefined ? Result.succeed(text) : Result.fail(`as a chroot: ${problem}`)
}

const LongestValue = 100

/** Whatever may be a password ends at the last `@` and may contain every separator. */
const shown = (text: string, part: string): string => {
  const value = text.includes("@") ? `***${text.slice(text.lastIndexOf("@"))}` : part
  return value.length > LongestValue ? `${value.slice(0, LongestValue)}…` : value
}

/**
 * Parses a connection string, or the strings of a list as if they were joined
 * by commas. See {@link parse}, which does the same as an Effect.
 *
 * @example
 * ```ts
 * import * as Result from "effect/Result"
 * import * as ConnectionString from "effect-zookeeper/ConnectionString"
 *
 * const servers = Result.getOrThrow(ConnectionString.parseResult("zk1, [::1]:2183/app"))
 *
 * servers.chroot // => "/app"
 * servers.hosts.map(ConnectionString.formatHost) // => ["zk1:2181", "[::1]:2183"]
 * ConnectionString.format(servers) // => "zk1:2181,[::1]:2183/app"
 * ```
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseResult = (
  input: string | ReadonlyArray<string>
): Result.Result<ConnectionString, BadArguments> => {
  const text = (typeof input === "string" ? input : input.join(",")).trim()
  const refuse = (part: string, problem: string): Result.Result<never, BadArguments> =>
    Result.fail(new BadArguments({ argument: "hosts", value: shown(text, part), problem }))

  if (text.includes("://")) return refuse(text, "this is a URL, expected \"host:port,host:port/chroot\"")
  const slash = text.indexOf("/")
  const list = slash < 0 ? text : text.slice(0, slash)
  if (list.includes("@")) return refuse(text, "credentials do not belong here, give them as an option of the client")

  const hosts: Array<Host> = []
  for (const part of list.split(",")) {
    const entry = part.trim()
    if (entry === "") continue
    const host = parseHost(entry)
    if (typeof host === "string") return refuse(entry, host)
    hosts.push(host)
  }
  if (!isReadonlyArrayNonEmpty(hosts)) return refuse(text, "there is no host, expected \"host:port,host:port/chroot\"")

  const chroot = parseChroot(slash < 0 ? "" : text.slice(slash))
  return Result.isFailure(chroot)
    ? refuse(text.slice(slash), chroot.failure)
    : Result.succeed({ hosts, chroot: chroot.success })
}

/**
 * Parses a connection string, or the strings of a list as if they were joined
 * by commas.
 *
 * Spaces around hosts and empty entries are skipped, the port is 2181 where
 * none is given, IPv6 addresses stand in brackets, and the chroot comes once,
 * at the very end (`/` is none). Fails with `BadArguments`, which names the
 * entry and what is wrong with it; of anything that may be a credential it
 * shows nothing.
 *
 * @example
 * ```ts
 * import * as ConnectionString from "effect-zookeeper/ConnectionString"
 *
 * const servers = ConnectionString.parse("zk1, zk2:2182, [::1]:2183/app")
 * const alike = ConnectionString.parse(["zk1", "zk2:2182", "[::1]:2183/app"])
 * ```
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (input: string | ReadonlyArray<string>): Effect.Effect<ConnectionString, BadArguments> =>
  Effect.suspend(() => Effect.fromResult(parseResult(input)))

/**
 * A name whose SRV records name the servers.
 *
 * @category models
 * @since 0.1.0
 */
export interface DnsSrv {
  /** E.g. `_zookeeper._tcp.example.com`. */
  readonly name: string
  /** A legal path other than `/`, or `""` for none. */
  readonly chroot: string
}

const srvPrefix = "dns-srv://"

/**
 * Parses `dns-srv://name[/chroot]`, as ZooKeeper 3.10 has it; `None` where the
 * text does not begin like that. Fails with `BadArguments`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 * import * as ConnectionString from "effect-zookeeper/ConnectionString"
 *
 * export const program = Effect.gen(function*() {
 *   const srv = yield* ConnectionString.parseDnsSrv("dns-srv://_zookeeper._tcp.example.com/app")
 *   return srv // => Option.some({ name: "_zookeeper._tcp.example.com", chroot: "/app" })
 * })
 * ```
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseDnsSrv = (
  input: string | ReadonlyArray<string>
): Effect.Effect<Option.Option<DnsSrv>, BadArguments> =>
  Effect.suspend(() => {
    const text = (typeof input === "string" ? input : input.join(",")).trim()
    if (!text.startsWith(srvPrefix)) return Effect.succeedNone
    const refuse = (problem: string) =>
      Effect.fail(new BadArguments({ argument: "hosts", value: shown(text, text), problem }))
    const rest = text.slice(srvPrefix.length)
    const slash = rest.indexOf("/")
    const name = slash < 0 ? rest : rest.slice(0, slash)
    if (!isName(name)) return refuse("expected dns-srv:// and the name of SRV records, without a port")
    const chroot = parseChroot(slash < 0 ? "" : rest.slice(slash))
    return Result.isFailure(chroot) ? refuse(chroot.failure) : Effect.succeedSome({ name, chroot: chroot.success })
  })

/**
 * One server as `host:port`, with an IPv6 address in brackets. See
 * {@link parseResult} for an example.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatHost = ({ host, port }: Host): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/**
 * The connection string from which {@link parse} makes the same value. See
 * {@link parseResult} for an example.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = ({ chroot, hosts }: ConnectionString): string => hosts.map(formatHost).join(",") + chroot
