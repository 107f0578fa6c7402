/**
 * The configuration of the ensemble, and its change.
 *
 * The members are listeners of one core, so one voter is all that there ever
 * is to agree: of a new configuration too, the majority has to be among those
 * that are there.
 */
import { ErrorCode } from "../jute/ErrorCode.ts"
import { operations as protocol } from "../jute/Protocol.ts"
import * as AccessControl from "./AccessControl.ts"
import { configPath } from "./DataTree.ts"
import { operation } from "./Operation.ts"
import { Refusal } from "./Refusal.ts"
import type { Server } from "./Server.ts"

/** Ensembles count zxids from here: the epoch in the high half. */
export const firstEpoch = 1n << 32n

interface Member {
  readonly id: number
  readonly isVoter: boolean
  /** What follows `server.N=`. */
  readonly specification: string
}

const badArguments = () => new Refusal(ErrorCode.BadArguments)

const textOf = (members: ReadonlyArray<Member>, version: bigint): Uint8Array =>
  new TextEncoder().encode(
    [
      ...members.toSorted((a, b) => a.id - b.id).map(({ id, specification }) => `server.${id}=${specification}`),
      `version=${version.toString(16)}`
    ].join("\n")
  )

const decoder = new TextDecoder()

const linesOf = (text: string): ReadonlyArray<string> =>
  text.split(/[,\n]/).map((line) => line.trim()).filter((line) => line !== "")

/** `server.N=host:port:port[:role];[host:]port`, as a server writes it back. */
const memberOf = (line: string): Member => {
  const server = /^server\.(\d+)\s*=\s*([^:;]+|\[[^\]]+\]):(\d+):(\d+)(?::(participant|observer))?;(.*)$/.exec(line)
  const address = /^(?:([^:;]+|\[[^\]]+\]):)?(\d+)$/.exec(server?.[6] ?? "")
  if (server === null || address === null) throw badArguments()
  const [, id, host, quorum, election, role = "participant"] = server
  const [, clientHost = "0.0.0.0", client] = address
  return {
    id: Number(id),
    isVoter: role === "participant",
    specification: `${host}:${quorum}:${election}:${role};${clientHost}:${client}`
  }
}

const membersIn = (text: string): ReadonlyArray<Member> =>
  linesOf(text).filter((line) => !line.startsWith("version=")).map(memberOf)

/** Writes the first configuration. */
export const establish = (server: Server): void => {
  const config = server.tree.get(configPath)
  if (server.members.length === 0 || config === undefined) return
  const members = server.members.map((address, index): Member => {
    const host = address.slice(0, address.lastIndexOf(":"))
    return { id: index + 1, isVoter: true, specification: `${host}:2888:3888:participant;${address}` }
  })
  config.data = textOf(members, firstEpoch)
}

const changed = (
  current: ReadonlyArray<Member>,
  request: { joiningServers: string | null; leavingServers: string | null; newMembers: string | null }
): ReadonlyArray<Member> => {
  if (request.newMembers !== null) return membersIn(request.newMembers)
  const members = new Map(current.map((member) => [member.id, member]))
  for (const id of linesOf(request.leavingServers ?? "")) {
    if (!/^[+-]?\d+$/.test(id)) throw badArguments()
    members.delete(Number(id))
  }
  for (const line of linesOf(request.joiningServers ?? "")) {
    const member = memberOf(line)
    members.set(member.id, member)
  }
  return [...members.values()]
}

export const reconfigOperation = operation(protocol.reconfig, (connection, request) => {
  const { identities, server } = connection
  const zxid = server.nextZxid()
  const config = server.tree.get(configPath)
  if (server.members.length === 0 || config === undefined) throw new Refusal(ErrorCode.Unimplemented)
  const text = decoder.decode(config.data ?? new Uint8Array(0))
  const version = BigInt(`0x${/^version=([\da-f]+)$/m.exec(text)?.[1] ?? "0"}`)
  if (request.curConfigId !== -1n && request.curConfigId !== version) throw new Refusal(ErrorCode.BadVersion)
  const voters = changed(membersIn(text), request).filter(({ isVoter }) => isVoter)
  if (voters.length === 0) throw badArguments()
  const present = new Set(membersIn(text).map(({ id }) => id))
  if (2 * voters.filter(({ id }) => present.has(id)).length <= voters.length) {
    throw new Refusal(ErrorCode.NewConfigNoQuorum)
  }
  AccessControl.check(config.acl, AccessControl.Permission.Write, identities)
  const data = textOf(changed(membersIn(text), request), zxid)
  server.tree.setData(configPath, config, data, -1, zxid, server.now)
  return { data, stat: config.stat }
})
