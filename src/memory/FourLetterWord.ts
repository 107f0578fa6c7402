/**
 * Commands of four letters in place of a handshake, and what they are answered.
 */
import type { Connection } from "./Connection.ts"
import type { Server } from "./Server.ts"

type Command = (server: Server, connection: Connection) => string

const hex = (id: bigint): string => `0x${BigInt.asUintN(64, id).toString(16)}`

const modeOf = (server: Server, { link: { listener } }: Connection): string => {
  if (server.isReadOnly(listener)) return "read-only"
  if (server.members.length === 0) return "standalone"
  const index = server.members.indexOf(listener)
  return index <= 0 ? "leader" : "follower"
}

const commands: Readonly<Record<string, Command>> = {
  ruok: () => "imok",
  isro: (server, { link }) => server.isReadOnly(link.listener) ? "ro" : "rw",
  srvr: (server, connection) =>
    [
      `Zookeeper version: ${server.release.version}`,
      "Latency min/avg/max: 0/0.0/0",
      "Received: 0",
      "Sent: 0",
      `Connections: ${server.connections.size}`,
      "Outstanding: 0",
      `Zxid: ${hex(server.zxid)}`,
      `Mode: ${modeOf(server, connection)}`,
      `Node count: ${server.tree.size + 1}`,
      ""
    ].join("\n")
}

/** The answer; `undefined` if that is no command. */
export const answer = (server: Server, connection: Connection, word: string): string | undefined =>
  commands[word]?.(server, connection)
