/**
 * Who belongs to an ensemble, as it says itself in `/zookeeper/config`, and how
 * that is changed: `config`, `configChanges` and `reconfig` of the
 * client speak of it.
 *
 * Changing it needs ZooKeeper 3.5 or later with `reconfigEnabled`, an ensemble
 * (no standalone server), and the right to write `/zookeeper/config`, which by
 * default the super user alone has.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as EnsembleConfig from "effect-zookeeper/EnsembleConfig"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * export const replaced = Effect.gen(function*() {
 *   const zk = yield* ZooKeeper
 *   const { members, version } = yield* zk.config
 *   console.log(members.map(EnsembleConfig.formatMember))
 *   return yield* zk.reconfig({
 *     joining: ["server.4=zk4.example:2888:3888;2181"],
 *     leaving: [1],
 *     version
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 */
import { isReadonlyArrayNonEmpty, type NonEmptyReadonlyArray } from "effect/Array"
import * as Result from "effect/Result"
import { formatHost, type Host, parseResult } from "./ConnectionString.ts"

/**
 * The znode that holds the configuration. It lies outside of any chroot.
 *
 * @category constants
 * @since 0.1.0
 */
export const configPath = "/zookeeper/config"

/**
 * Where the other members reach one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Address {
  /** IPv6 without brackets. */
  readonly host: string
  /** Where followers reach it while it leads. */
  readonly quorumPort: number
  /** Where leaders are elected. */
  readonly electionPort: number
}

/**
 * A server of the ensemble.
 *
 * @category models
 * @since 0.1.0
 */
export interface Member {
  /** Its number, `myid`. */
  readonly id: number
  /** More than one where it has several networks (3.6 and later). */
  readonly addresses: NonEmptyReadonlyArray<Address>
  /** Observers serve clients and have no vote. */
  readonly role: "participant" | "observer"
  /** Where clients reach it; `undefined` where its own file says so, not this one. */
  readonly client: Host | undefined
}

/**
 * A configuration.
 *
 * @category models
 * @since 0.1.0
 */
export interface EnsembleConfig {
  /** Empty on a standalone server. */
  readonly members: ReadonlyArray<Member>
  /** The zxid of the change that made it; -1 where there was none yet. */
  readonly version: bigint
  /** As the server has it. */
  readonly text: string
}

/**
 * A change: some join and some leave, or all are replaced. A member that is
 * written as text is as in `zoo.cfg.dynamic`. With `version` the change is made
 * only if that is still the current one (else `BadVersion`); by default whatever
 * that is. The example is at the top of this module.
 *
 * @category models
 * @since 0.1.0
 */
export type Change =
  | {
    /** A member that is there already is changed: its role, its ports. */
    readonly joining?: ReadonlyArray<Member | string> | undefined
    /** Numbers of members. */
    readonly leaving?: ReadonlyArray<number> | undefined
    readonly version?: bigint | undefined
  }
  | {
    /** All of them, those that stay included. */
    readonly members: ReadonlyArray<Member | string>
    readonly version?: bigint | undefined
  }

const port = (text: string | undefined): number | undefined => {
  const value = text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : 0
  return value >= 1 && value <= 65535 ? value : undefined
}

/** `host:a:b:…`, where the host may be an IPv6 address in brackets. */
const split = (text: string): ReadonlyArray<string> => {
  const end = text.startsWith("[") ? text.indexOf("]") : -1
  return end < 0 ? text.split(":") : [text.slice(1, end), ...text.slice(end + 2).split(":")]
}

const parseClient = (text: string): Host | undefined => {
  const bare = port(text)
  if (bare !== undefined) return { host: "0.0.0.0", port: bare }
  const host = Result.getOrUndefined(parseResult(text))?.hosts[0]
  return host
}

const isAnywhere = (host: string): boolean => host === "0.0.0.0" || /^[0:]+$/.test(host)

/**
 * Reads `server.N=host:quorumPort:electionPort[:role][;[host:]clientPort]`; fails
 * with what is wrong. A client address of `0.0.0.0` becomes the server's host.
 *
 * @example
 * ```ts
 * import * as Result from "effect/Result"
 * import * as EnsembleConfig from "effect-zookeeper/EnsembleConfig"
 *
 * const line = "server.1=zk1.example:2888:3888:participant;0.0.0.0:2181"
 * const member = Result.getOrThrow(EnsembleConfig.parseMember(line))
 *
 * member.client // => { host: "zk1.example", port: 2181 }
 * EnsembleConfig.formatMember(member) // => "server.1=zk1.example:2888:3888:participant;zk1.example:2181"
 * ```
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseMember = (line: string): Result.Result<Member, string> => {
  const problem = Result.fail(
    `${JSON.stringify(line.slice(0, 100))} is not "server.N=host:port:port[:role][;[host:]port]"`
  )
  const [, number = "", rest = ""] = /^\s*server\.(\d{1,9})\s*=(.*)$/s.exec(line) ?? []
  const [quorum = "", clientText] = rest.trim().split(";")
  let role: Member["role"] = "participant"
  const addresses: Array<Address> = []
  for (const part of quorum.split("|")) {
    const [host = "", first, second, given] = split(part.trim())
    const quorumPort = port(first)
    const electionPort = port(second)
    if (host === "" || quorumPort === undefined || electionPort === undefined) return problem
    if (given === "observer") role = "observer"
    else if (given !== undefined && given !== "participant") return problem
    addresses.push({ host, quorumPort, electionPort })
  }
  if (number === "" || !isReadonlyArrayNonEmpty(addresses)) return problem
  if (clientText === undefined) return Result.succeed({ id: Number(number), addresses, role, client: undefined })
  const client = parseClient(clientText.trim())
  if (client === undefined) return problem
  const host = isAnywhere(client.host) ? addresses[0].host : client.host
  return Result.succeed({ id: Number(number), addresses, role, client: { host, port: client.port } })
}

const withBrackets = (host: string): string => host.includes(":") ? `[${host}]` : host

/**
 * The line from which {@link parseMember} reads the same member; see there for an
 * example.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatMember = ({ addresses, client, id, role }: Member): string =>
  `server.${id}=${
    addresses.map(({ electionPort, host, quorumPort }) =>
      `${withBrackets(host)}:${quorumPort}:${electionPort}:${role}`
    ).join("|")
  }${client === undefined ? "" : `;${formatHost(client)}`}`

/**
 * Reads what stands in `/zookeeper/config`; fails with what is wrong.
 *
 * @example
 * ```ts
 * import * as Result from "effect/Result"
 * import * as EnsembleConfig from "effect-zookeeper/EnsembleConfig"
 *
 * const text = "server.1=zk1:2888:3888;2181\nserver.2=zk2:2888:3888:observer;2181\nversion=100000000"
 * const config = Result.getOrThrow(EnsembleConfig.parse(text))
 *
 * config.version // => 4294967296n
 * config.members.map(({ role }) => role) // => ["participant", "observer"]
 * EnsembleConfig.clientHosts(config).length // => 2
 * ```
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<EnsembleConfig, string> =>
  Result.gen(function*() {
    const members: Array<Member> = []
    let version = -1n
    for (const line of text.split("\n")) {
      const trimmed = line.trim()
      if (trimmed.startsWith("server.")) members.push(yield* parseMember(trimmed))
      const [, hex] = /^version=([0-9a-fA-F]{1,16})$/.exec(trimmed) ?? []
      if (hex !== undefined) version = BigInt.asIntN(64, BigInt(`0x${hex}`))
    }
    return { members, version, text }
  })

/**
 * Where clients reach the members, for those that say so. See {@link parse} for
 * an example.
 *
 * @category accessors
 * @since 0.1.0
 */
export const clientHosts = ({ members }: EnsembleConfig): ReadonlyArray<Host> =>
  members.flatMap(({ client }) => client === undefined ? [] : [client])
