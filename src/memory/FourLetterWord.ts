/**
 * Commands of four letters in place of a handshake, and what they are answered:
 * the texts of a real server, as far as there is something to say.
 */
import { OpCode } from "../jute/OpCode.ts"
import type { Connection } from "./Connection.ts"
import type { Server } from "./Server.ts"
import type { WatchList } from "./WatchTable.ts"

type Command = (server: Server, connection: Connection) => string

const hex = (id: bigint): string => `0x${BigInt.asUintN(64, id).toString(16)}`

const lines = (...all: ReadonlyArray<string>): string => all.map((line) => `${line}\n`).join("")

/** A line, and others beneath it. */
const group = (head: string, items: Iterable<string>): string =>
  [head, ...Array.from(items, (item) => `\t${item}`)].join("\n")

const modeOf = (server: Server, { link: { listener } }: Connection): string => {
  if (server.isReadOnly(listener)) return "read-only"
  if (server.members.length === 0) return "standalone"
  return server.members.indexOf(listener) <= 0 ? "leader" : "follower"
}

/** The root counts twice: it has two names. */
const nodeCount = ({ tree }: Server): number => tree.size + 1

const versionOf = ({ release }: Server): string => `${release.version}-in-memory, built on 1970-01-01 00:00 UTC`

const summary: Command = (server, connection) =>
  lines(
    "Latency min/avg/max: 0/0.0/0",
    `Received: ${server.traffic.received}`,
    `Sent: ${server.traffic.sent}`,
    `Connections: ${server.connections.size}`,
    "Outstanding: 0",
    `Zxid: ${hex(server.zxid)}`,
    `Mode: ${modeOf(server, connection)}`,
    `Node count: ${nodeCount(server)}`
  )

const names: ReadonlyMap<number, string> = new Map<number, string>([
  [OpCode.Create, "CREA"],
  [OpCode.Create2, "CREA"],
  [OpCode.CreateContainer, "CREA"],
  [OpCode.CreateTtl, "CREA"],
  [OpCode.Delete, "DELE"],
  [OpCode.Exists, "EXIS"],
  [OpCode.GetData, "GETD"],
  [OpCode.SetData, "SETD"],
  [OpCode.GetAcl, "GETA"],
  [OpCode.SetAcl, "SETA"],
  [OpCode.GetChildren, "GETC"],
  [OpCode.GetChildren2, "GETC"],
  [OpCode.Sync, "SYNC"],
  [OpCode.Ping, "PING"],
  [OpCode.Multi, "MULT"],
  [OpCode.MultiRead, "MLTR"],
  [OpCode.Reconfig, "RECO"],
  [OpCode.CheckWatches, "CHKW"],
  [OpCode.RemoveWatches, "REMW"],
  [OpCode.SetWatches, "SETW"],
  [OpCode.SetWatches2, "STW2"],
  [OpCode.AddWatch, "ADDW"],
  [OpCode.GetEphemerals, "GETE"],
  [OpCode.GetAllChildrenNumber, "GETACN"],
  [OpCode.WhoAmI, "HOMI"],
  [OpCode.CloseSession, "CLOS"]
])

const clientLine = ({ last, link, received, sent, session, since }: Connection, isLong: boolean): string => {
  const about = session === undefined || !isLong
    ? ""
    : `,sid=${hex(session.id)},lop=${names.get(last.opCode) ?? "SESS"},est=${since},to=${session.timeout}` +
      `,lcxid=${hex(BigInt(last.xid))},lzxid=${hex(last.zxid)},lresp=0,llat=0,minlat=0,avglat=0,maxlat=0`
  return ` /${link.remoteAddress}:0[${session === undefined ? 0 : 1}](queued=0,recved=${received},sent=${sent}${about})`
}

/** The lines come with an empty one at the end. */
const clients = (server: Server, isLong: boolean): string =>
  lines(...Array.from(server.connections, (connection) => clientLine(connection, isLong)), "")

/** Both lists together. */
const watched = ({ tree }: Server): ReadonlyArray<WatchList<Connection>> => [tree.dataWatches, tree.childWatches]

/** Only the list of data watches is told, as by a real server. */
const grouped = (server: Server, by: (path: string, id: string) => readonly [head: string, item: string]): string => {
  const groups = new Map<string, Set<string>>()
  for (const [path, { sessionId }] of server.tree.dataWatches.entries()) {
    const [head, item] = by(path, hex(sessionId))
    groups.set(head, (groups.get(head) ?? new Set()).add(item))
  }
  return lines(...Array.from(groups, ([head, items]) => group(head, items)), "")
}

const watchSummary: Command = (server) => {
  const connections = new Set<Connection>()
  const paths = new Set<string>()
  let total = 0
  for (const [path, connection] of server.tree.dataWatches.entries()) {
    connections.add(connection)
    paths.add(path)
    total++
  }
  return lines(`${connections.size} connections watching ${paths.size} paths`, `Total watches:${total}`)
}

/** `Wed Nov 25 03:26:44 UTC 2026` */
const dateOf = (time: number): string => {
  const [day, date, month, year, clock] = new Date(time).toUTCString().replace(",", "").split(" ")
  return `${day} ${month} ${date} ${clock} UTC ${year}`
}

const dump: Command = (server) => {
  const sessions = [...server.tracker].toSorted((a, b) => a.deadline - b.deadline)
  const deadlines = [...new Set(sessions.map(({ deadline }) => deadline))]
  const { ephemerals } = server.tree
  const { elapsed, now } = server
  return lines(
    "SessionTracker dump:",
    `Session Sets (${deadlines.length})/(${sessions.length}):`,
    ...deadlines.map((deadline) => {
      const due = sessions.filter((session) => session.deadline === deadline)
      return group(`${due.length} expire at ${dateOf(now + deadline - elapsed)}:`, due.map(({ id }) => hex(id)))
    }),
    "ephemeral nodes dump:",
    `Sessions with Ephemerals (${ephemerals.size}):`,
    ...Array.from(ephemerals, ([id, paths]) => group(`${hex(id)}:`, paths)),
    "Connections dump:",
    `Connections Sets (1)/(${server.connections.size}):`,
    ...Array.from(
      server.connections,
      ({ link, sessionId }) => `\tip: /${link.remoteAddress}:0 sessionId: ${hex(sessionId)}`
    )
  )
}

const monitor: Command = (server, connection) => {
  const { tracker, traffic, tree } = server
  const sessions = [...tracker]
  const ephemerals = Array.from(tree.ephemerals.values(), (paths) => paths.size)
  const values = {
    version: versionOf(server),
    server_state: modeOf(server, connection),
    ephemerals_count: ephemerals.reduce((sum, count) => sum + count, 0),
    num_alive_connections: server.connections.size,
    avg_latency: "0.0",
    outstanding_requests: 0,
    znode_count: nodeCount(server),
    global_sessions: sessions.filter(({ isLocal }) => !isLocal).length,
    packets_sent: traffic.sent,
    packets_received: traffic.received,
    watch_count: watched(server).reduce((sum, { size }) => sum + size, 0),
    min_latency: 0,
    approximate_data_size: tree.dataSize,
    local_sessions: sessions.filter(({ isLocal }) => isLocal).length,
    uptime: server.uptime,
    max_latency: 0
  }
  return lines(...Object.entries(values).map(([name, value]) => `zk_${name}\t${value}`))
}

const portOf = (listener: string): string => listener.slice(listener.lastIndexOf(":") + 1)

const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["ruok", () => "imok"],
  ["isro", (server, { link }) => server.isReadOnly(link.listener) ? "ro" : "rw"],
  ["srvr", (server, connection) => `Zookeeper version: ${versionOf(server)}\n${summary(server, connection)}`],
  [
    "stat",
    (server, connection) =>
      `Zookeeper version: ${versionOf(server)}\nClients:\n${clients(server, false)}${summary(server, connection)}`
  ],
  ["mntr", monitor],
  [
    "conf",
    (server, { link: { listener } }) =>
      lines(
        `clientPort=${portOf(listener)}`,
        "secureClientPort=-1",
        `tickTime=${server.tickTime}`,
        `maxClientCnxns=${server.maxClientConnections}`,
        `minSessionTimeout=${server.minSessionTimeout}`,
        `maxSessionTimeout=${server.maxSessionTimeout}`,
        "clientPortListenBacklog=-1",
        `serverId=${Math.max(0, server.members.indexOf(listener) + 1)}`
      )
  ],
  ["cons", (server) => clients(server, true)],
  ["wchs", watchSummary],
  ["wchc", (server) => grouped(server, (path, id) => [id, path])],
  ["wchp", (server) => grouped(server, (path, id) => [path, id])],
  [
    "envi",
    (server, { link: { listener } }) =>
      lines(
        "Environment:",
        `zookeeper.version=${versionOf(server)}`,
        `host.name=${listener.slice(0, listener.lastIndexOf(":"))}`
      )
  ],
  ["dump", dump]
])

/** The answer; `undefined` if that is no command. */
export const answer = (server: Server, connection: Connection, word: string): string | undefined =>
  commands.get(word)?.(server, connection)
