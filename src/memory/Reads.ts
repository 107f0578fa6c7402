/**
 * Operations that change nothing.
 */
import * as Schema from "effect/Schema"
import { ErrorCode } from "../jute/ErrorCode.ts"
import * as Jute from "../jute/Jute.ts"
import { OpCode } from "../jute/OpCode.ts"
import { type MultiResult, operations as protocol } from "../jute/Protocol.ts"
import * as AccessControl from "./AccessControl.ts"
import type { Connection } from "./Connection.ts"
import type { Znode } from "./DataTree.ts"
import { readReads } from "./MultiRequest.ts"
import { operation } from "./Operation.ts"
import { Refusal } from "./Refusal.ts"
import { Mode } from "./WatchTable.ts"

// Small requests for large znodes, again and again, would fill the memory.
const largestReply = 1 << 26
const smallestChild = 8

const { Admin, Read } = AccessControl.Permission

/** A znode that the connection may read. */
const readable = ({ identities, server }: Connection, path: string, permissions: number = Read): Znode => {
  const znode = server.tree.get(path)
  if (znode === undefined) throw new Refusal(ErrorCode.NoNode)
  AccessControl.check(znode.acl, permissions, identities)
  return znode
}

const getData = (connection: Connection, path: string, watch: boolean) => {
  const { data, stat } = readable(connection, path)
  if (watch) connection.server.tree.dataWatches.add(path, connection, Mode.OneShot)
  return { data, stat }
}

const getChildren = (connection: Connection, path: string, watch: boolean) => {
  const { children, stat } = readable(connection, path)
  if (watch) connection.server.tree.childWatches.add(path, connection, Mode.OneShot)
  return { children: [...children], stat }
}

const either = (read: () => MultiResult): MultiResult => {
  try {
    return read()
  } catch (error) {
    if (error instanceof Refusal) return { type: OpCode.Error, err: error.code }
    throw error
  }
}

/** How `whoAmI` shows an identity: without what only its owner knows. */
const shown = ({ id, scheme }: AccessControl.Identity) => ({
  authScheme: scheme,
  user: scheme === "digest" ? id.split(":", 1)[0] ?? "" : id
})

export const reads = [
  operation(protocol.exists, (connection, { path, watch }) => {
    const { identities, server } = connection
    if (path.includes("\0")) throw new Refusal(ErrorCode.BadArguments)
    const znode = server.tree.get(path)
    if (znode !== undefined && server.release.existsNeedsRead) AccessControl.check(znode.acl, Read, identities)
    // Also where there is nothing: that is how one waits for a creation.
    if (watch) server.tree.dataWatches.add(path, connection, Mode.OneShot)
    if (znode === undefined) throw new Refusal(ErrorCode.NoNode)
    return { stat: znode.stat }
  }),

  operation(protocol.getData, (connection, { path, watch }) => getData(connection, path, watch)),

  operation(protocol.getChildren, (connection, { path, watch }) => getChildren(connection, path, watch)),

  operation(protocol.getChildren2, (connection, { path, watch }) => getChildren(connection, path, watch)),

  operation(protocol.getAcl, (connection, { path }) => {
    const { acl, stat } = readable(connection, path, Read | Admin)
    return { acl: AccessControl.permits(acl, Admin, connection.identities) ? acl : AccessControl.masked(acl), stat }
  }),

  operation(protocol.getAllChildrenNumber, (connection, { path }) => {
    readable(connection, path)
    return { totalNumber: connection.server.tree.countDescendants(path) }
  }),

  operation({
    ...protocol.getEphemerals,
    request: Schema.Struct({ prefixPath: Schema.NullOr(Jute.Text) })
  }, ({ server, sessionId }, { prefixPath }) => {
    const paths = [...server.tree.ephemerals.get(sessionId) ?? []]
    const prefix = prefixPath ?? ""
    const isAny = ["", "/"].includes(prefix.trim())
    return { ephemerals: isAny ? paths : paths.filter((path) => path.startsWith(prefix)) }
  }),

  operation(protocol.whoAmI, ({ identities }) => ({ clientInfo: identities.map(shown) })),

  // There is nobody to catch up with.
  operation(protocol.sync, (_, { path }) => ({ path })),

  {
    opCode: OpCode.MultiRead,
    serve: (connection: Connection, reader: Jute.Reader) => {
      let size = 0
      const results = readReads(reader).map(({ request, type }) =>
        either((): MultiResult => {
          if (type === OpCode.GetData) {
            const { data, stat } = getData(connection, request.path, false)
            size += stat.dataLength
            if (size > largestReply) throw reader.problem("the answer would be too large")
            return { type, data, stat }
          }
          const { children } = getChildren(connection, request.path, false)
          size += smallestChild * children.length
          if (size > largestReply) throw reader.problem("the answer would be too large")
          return { type, children }
        })
      )
      return (writer: Jute.Writer) => response.write(writer, results)
    }
  }
]

const response = Jute.layoutOf(protocol.multiRead.response)
