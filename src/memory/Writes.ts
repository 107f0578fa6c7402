/**
 * Operations that change znodes: create, delete, setData, setACL, check, and
 * transactions of them.
 *
 * As in ZooKeeper each is first prepared, which checks everything in a fixed
 * order and refuses, and then applied, which cannot fail. Inside a transaction
 * what is prepared sees what was prepared before it. A refused write takes a
 * zxid like any other.
 */
import type * as Schema from "effect/Schema"
import { ErrorCode } from "../jute/ErrorCode.ts"
import * as Jute from "../jute/Jute.ts"
import { OpCode } from "../jute/OpCode.ts"
import { type MultiResult, operations as protocol, type Stat } from "../jute/Protocol.ts"
import * as ZnodePath from "../ZnodePath.ts"
import * as AccessControl from "./AccessControl.ts"
import type { Connection } from "./Connection.ts"
import { container, type Data, type DataTree, parentOf, Znode } from "./DataTree.ts"
import * as MultiRequest from "./MultiRequest.ts"
import type { Operation } from "./Operation.ts"
import * as Quota from "./Quota.ts"
import { Refusal } from "./Refusal.ts"
import type { Server } from "./Server.ts"

const { Admin, Create, Delete, Read, Write } = AccessControl.Permission
const longestTtl = 2 ** 40 - 1
const special = new Set(["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"])

/** What a znode is, or will be once what was prepared is applied. */
interface Record {
  readonly version: number
  readonly aversion: number
  readonly cversion: number
  readonly owner: bigint
  readonly acl: AccessControl.AclList
  readonly childCount: number
  readonly data: Data
}

const copy = (record: Record, changes: Partial<Record>): Record => ({
  version: record.version,
  aversion: record.aversion,
  cversion: record.cversion,
  owner: record.owner,
  acl: record.acl,
  childCount: record.childCount,
  data: record.data,
  ...changes
})

/** What is prepared in a transaction: path → record, `null` for a deleted znode. */
type Pending = Map<string, Record | null>

/** Who writes, and when: the parts of one transaction share a zxid and a time. */
interface Writing {
  readonly connection: Connection
  readonly zxid: bigint
  readonly time: number
  readonly pending: Pending | undefined
}

interface Created {
  readonly path: string
  readonly stat: Stat
}

const find = ({ connection, pending }: Writing, path: string): Record | undefined => {
  const record = pending?.get(path === "" ? "/" : path)
  return record === undefined ? connection.server.tree.get(path) : record ?? undefined
}

const recordOf = (writing: Writing, path: string): Record => {
  const record = find(writing, path)
  if (record === undefined) throw new Refusal(ErrorCode.NoNode)
  return record
}

const put = ({ pending }: Writing, path: string, record: Record | null): void => {
  pending?.set(path === "" ? "/" : path, record)
}

const checkPath = (path: string): void => {
  if (ZnodePath.problemOf(path) !== undefined) throw new Refusal(ErrorCode.BadArguments)
}

const checkParentPath = (path: string): string => {
  if (!path.includes("/") || path.includes("\0")) throw new Refusal(ErrorCode.BadArguments)
  return parentOf(path)
}

/** The version after this one. Versions wrap around. */
const nextVersion = (current: number, expected: number): number => {
  if (expected !== -1 && expected !== current) throw new Refusal(ErrorCode.BadVersion)
  return current + 1 | 0
}

const checkPermission = ({ connection }: Writing, record: Record, permission: number): void =>
  AccessControl.check(record.acl, permission, connection.identities)

const checkQuota = ({ connection: { server } }: Writing, path: string, count: number, bytes: number): void => {
  const limited = server.enforcesQuota ? server.tree.quotaOver(path) : undefined
  if (limited === undefined) return
  const limits = server.tree.get(Quota.limitsPath(limited))
  const stats = server.tree.get(Quota.statsPath(limited))
  if (limits === undefined || stats === undefined) return
  const { byteHardLimit, countHardLimit } = new Quota.Track(limits.data)
  const used = new Quota.Track(stats.data)
  if (
    count !== 0 && countHardLimit > -1 && used.count + count > countHardLimit ||
    bytes !== 0 && byteHardLimit > -1 && used.bytes + bytes > byteHardLimit
  ) {
    throw new Refusal(ErrorCode.QuotaExceeded)
  }
}

// --- create

const Flag = { Ephemeral: 1, Sequential: 2, Container: 4, Ttl: 5, TtlSequential: 6 } as const

const isEphemeral = (flags: number): boolean => flags === Flag.Ephemeral || flags === 3
const isSequential = (flags: number): boolean =>
  flags === Flag.Sequential || flags === 3 || flags === Flag.TtlSequential
const isTtl = (flags: number): boolean => flags === Flag.Ttl || flags === Flag.TtlSequential

/** Ten digits; a sign takes the place of one. */
const suffix = (count: number): string =>
  count < 0 ? `-${String(-count).padStart(9, "0")}` : String(count).padStart(10, "0")

const ttlOf = ({ connection: { server } }: Writing, opCode: number, flags: number, ttl: number): number => {
  if (isTtl(flags) && !server.hasExtendedTypes) throw new Refusal(ErrorCode.Unimplemented)
  if (isTtl(flags) ? ttl <= 0 || ttl > longestTtl : ttl >= 0 || opCode === OpCode.CreateTtl) {
    throw new Refusal(ErrorCode.BadArguments)
  }
  // The operation decides: a plain create with the flag of a container makes a plain znode.
  return isTtl(flags) ? ttl : opCode === OpCode.CreateContainer ? container : 0
}

const prepareCreate = (
  writing: Writing,
  opCode: number,
  request: typeof MultiRequest.Create.Type,
  ttl: number
): () => Created => {
  const { connection, time, zxid } = writing
  const { flags } = request
  if (!MultiRequest.isCreateFlag(flags)) throw new Refusal(ErrorCode.BadArguments)
  const kept = ttlOf(writing, opCode, flags, ttl)
  const parentPath = checkParentPath(request.path)
  const acl = AccessControl.stored(request.acl ?? [], connection.identities)
  const parent = recordOf(writing, parentPath)
  checkPermission(writing, parent, Create)
  const path = isSequential(flags) ? request.path + suffix(parent.cversion) : request.path
  checkPath(path)
  if (find(writing, path) !== undefined) throw new Refusal(ErrorCode.NodeExists)
  if (parent.owner !== 0n) throw new Refusal(ErrorCode.NoChildrenForEphemerals)
  checkQuota(writing, path, 1, request.data?.length ?? 0)
  const cversion = parent.cversion + 1 | 0
  const owner = isEphemeral(flags) && kept === 0 ? connection.sessionId : 0n
  if (writing.pending !== undefined) {
    put(writing, parentPath, copy(parent, { cversion, childCount: parent.childCount + 1 }))
    put(writing, path, { version: 0, aversion: 0, cversion: 0, owner, acl, childCount: 0, data: request.data })
  }
  const znode = new Znode(request.data, acl, owner, kept, zxid, time)
  return () => {
    connection.server.tree.create(path, znode, cversion)
    return { path, stat: znode.stat }
  }
}

// --- the others

const prepareDelete = (writing: Writing, { path, version }: { path: string; version: number }): () => void => {
  const parentPath = checkParentPath(path)
  if (special.has(path)) throw new Refusal(ErrorCode.BadArguments)
  const parent = recordOf(writing, parentPath)
  checkPermission(writing, parent, Delete)
  const record = recordOf(writing, path)
  nextVersion(record.version, version)
  if (record.childCount > 0) throw new Refusal(ErrorCode.NotEmpty)
  if (writing.pending !== undefined) {
    put(writing, parentPath, copy(parent, { childCount: parent.childCount - 1 }))
    put(writing, path, null)
  }
  return () => writing.connection.server.tree.delete(path, writing.zxid)
}

const existing = (tree: DataTree<Connection>, path: string): Znode => {
  const znode = tree.get(path)
  // What was prepared found it.
  if (znode === undefined) throw new Refusal(ErrorCode.RuntimeInconsistency)
  return znode
}

const prepareSetData = (
  writing: Writing,
  { data, path, version }: { path: string; data: Data; version: number }
): () => Stat => {
  checkPath(path)
  const record = recordOf(writing, path)
  checkPermission(writing, record, Write)
  checkQuota(writing, path, 0, (data?.length ?? 0) - (record.data?.length ?? 0))
  const next = nextVersion(record.version, version)
  if (writing.pending !== undefined) put(writing, path, copy(record, { version: next, data }))
  return () => {
    const { tree } = writing.connection.server
    const znode = existing(tree, path)
    tree.setData(path, znode, data, next, writing.zxid, writing.time)
    return znode.stat
  }
}

const prepareSetAcl = (writing: Writing, { acl, path, version }: typeof MultiRequest.SetAcl.Type): () => Stat => {
  checkPath(path)
  const list = AccessControl.stored(acl ?? [], writing.connection.identities)
  const record = recordOf(writing, path)
  checkPermission(writing, record, Admin)
  const next = nextVersion(record.aversion, version)
  return () => {
    const znode = existing(writing.connection.server.tree, path)
    znode.acl = list
    znode.aversion = next
    return znode.stat
  }
}

const prepareCheck = (writing: Writing, { path, version }: { path: string; version: number }): () => void => {
  checkPath(path)
  const record = recordOf(writing, path)
  checkPermission(writing, record, Read)
  nextVersion(record.version, version)
  return () => {}
}

// --- transactions

/** Inside a transaction the flags decide what kind of create it is, whatever the operation. A TTL has to be there. */
const createTypeOf = (type: number, flags: number): number => {
  if (isTtl(flags)) {
    if (type !== OpCode.CreateTtl) throw new Jute.JuteError({ detail: `a TTL znode of operation ${type}` })
    return type
  }
  if (flags === Flag.Container) return OpCode.CreateContainer
  return type === OpCode.Create2 ? type : OpCode.Create
}

const prepare = (writing: Writing, { request, type }: MultiRequest.Write): () => MultiResult => {
  switch (type) {
    case OpCode.Create:
    case OpCode.Create2:
    case OpCode.CreateContainer:
    case OpCode.CreateTtl: {
      const kind = createTypeOf(type, request.flags)
      const ttl = kind === OpCode.CreateTtl && "ttl" in request ? request.ttl : -1
      const create = prepareCreate(writing, kind, request, ttl)
      const { create2InMulti } = writing.connection.server.release
      const hasStat = kind === OpCode.Create2 ? create2InMulti : kind !== OpCode.Create
      return () => {
        const { path, stat } = create()
        return hasStat ? { type: OpCode.Create2, path, stat } : { type: OpCode.Create, path }
      }
    }
    case OpCode.Delete: {
      const remove = prepareDelete(writing, request)
      return () => {
        remove()
        return { type }
      }
    }
    case OpCode.SetData: {
      const set = prepareSetData(writing, request)
      return () => ({ type, stat: set() })
    }
    case OpCode.Check: {
      const check = prepareCheck(writing, request)
      return () => {
        check()
        return { type }
      }
    }
  }
}

/** All or nothing. The operation at fault gets its code, those before it 0, those after it RuntimeInconsistency. */
const transact = (writing: Writing, writes: ReadonlyArray<MultiRequest.Write>): ReadonlyArray<MultiResult> => {
  const prepared: Array<() => MultiResult> = []
  for (const write of writes) {
    try {
      prepared.push(prepare(writing, write))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const fault = prepared.length
      return writes.map((_, index) => ({
        type: OpCode.Error,
        err: index < fault ? 0 : index === fault ? error.code : ErrorCode.RuntimeInconsistency
      }))
    }
  }
  return prepared.map((apply) => apply())
}

// --- the table

/** A write outside of a transaction. It takes a zxid before anything else: one that cannot be read has one too. */
const write = <Request, Response>(
  schemas: {
    readonly opCode: number
    readonly request: Schema.Codec<Request, unknown>
    readonly response: Schema.Codec<Response, unknown>
  },
  handle: (writing: Writing, request: Request) => Response
): Operation => {
  const request = Jute.layoutOf(schemas.request)
  const response = Jute.layoutOf(schemas.response)
  return {
    opCode: schemas.opCode,
    serve: (connection, reader) => {
      const writing = beginning(connection)
      const answer = handle(writing, request.read(reader))
      return (writer) => response.write(writer, answer)
    }
  }
}

const beginning = (connection: Connection): Writing => ({
  connection,
  zxid: connection.server.nextZxid(),
  time: connection.server.now,
  pending: undefined
})

const withRequest = <O, R>(schemas: O, request: R) => ({ ...schemas, request })

const checkRequest = Jute.layoutOf(protocol.delete.request)
const multiResponse = Jute.layoutOf(protocol.multi.response)

export const writes: ReadonlyArray<Operation> = [
  write(withRequest(protocol.create, MultiRequest.Create), (writing, request) =>
    prepareCreate(writing, OpCode.Create, request, -1)()),

  write(withRequest(protocol.create2, MultiRequest.Create), (writing, request) =>
    prepareCreate(writing, OpCode.Create2, request, -1)()),

  write(withRequest(protocol.createContainer, MultiRequest.Create), (writing, request) =>
    prepareCreate(writing, OpCode.CreateContainer, request, -1)()),

  write(withRequest(protocol.createTtl, MultiRequest.CreateTtl), (writing, request) =>
    prepareCreate(writing, OpCode.CreateTtl, request, request.ttl)()),

  write(protocol.delete, (writing, request) => {
    prepareDelete(writing, request)()
    return {}
  }),

  write(protocol.setData, (writing, request) => ({ stat: prepareSetData(writing, request)() })),

  write(withRequest(protocol.setAcl, MultiRequest.SetAcl), (writing, request) => ({
    stat: prepareSetAcl(writing, request)()
  })),

  {
    opCode: OpCode.Multi,
    serve: (connection, reader) => {
      const writing = { ...beginning(connection), pending: new Map() }
      const results = transact(writing, MultiRequest.readWrites(reader, connection.server.release))
      return (writer) => multiResponse.write(writer, results)
    }
  },

  {
    // Means something in a transaction only. Old servers answer it when it fails.
    opCode: OpCode.Check,
    serve: (connection, reader) => {
      prepareCheck(beginning(connection), checkRequest.read(reader))()
      return undefined
    }
  }
]

/** Deletes what nobody asked to delete: the ephemerals of a session that ended. One zxid for all of them. */
export const deleteEphemerals = (tree: DataTree<Connection>, sessionId: bigint, zxid: bigint): void => {
  for (const path of [...tree.ephemerals.get(sessionId) ?? []]) tree.delete(path, zxid)
}

/** Deletes containers that are empty again, and TTL znodes without children whose time is over. */
export const deleteUnused = (server: Server): void => {
  const { now, tree } = server
  const isUnused = (znode: Znode | undefined): boolean =>
    znode !== undefined && znode.childCount === 0 &&
    (znode.ttl === container ? znode.cversion > 0 : now - znode.mtime > znode.ttl)
  for (const path of [...tree.containers, ...tree.ttls].filter((path) => isUnused(tree.get(path)))) {
    tree.delete(path, server.nextZxid())
  }
}
