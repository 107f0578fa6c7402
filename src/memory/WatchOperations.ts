/**
 * Operations on the watches of a connection.
 */
import { ErrorCode } from "../jute/ErrorCode.ts"
import { operations as protocol } from "../jute/Protocol.ts"
import type { Connection } from "./Connection.ts"
import { type Operation, operation } from "./Operation.ts"
import { Refusal } from "./Refusal.ts"
import { EventType, Mode } from "./WatchTable.ts"

/** What an earlier connection of the client watched, and the last transaction that it saw. */
interface Earlier {
  readonly relativeZxid: bigint
  readonly dataWatches: ReadonlyArray<string>
  readonly existWatches: ReadonlyArray<string>
  readonly childWatches: ReadonlyArray<string>
}

/** Watches again; what happened meanwhile is told at once. */
const resume = (connection: Connection, earlier: Earlier): void => {
  const { tree } = connection.server
  const since = earlier.relativeZxid
  for (const path of earlier.dataWatches) {
    const znode = tree.get(path)
    if (znode === undefined) connection.tell(EventType.NodeDeleted, path)
    else if (znode.mzxid > since) connection.tell(EventType.NodeDataChanged, path)
    else tree.dataWatches.add(path, connection, Mode.OneShot)
  }
  for (const path of earlier.existWatches) {
    if (tree.get(path) !== undefined) connection.tell(EventType.NodeCreated, path)
    else tree.dataWatches.add(path, connection, Mode.OneShot)
  }
  for (const path of earlier.childWatches) {
    const znode = tree.get(path)
    if (znode === undefined) connection.tell(EventType.NodeDeleted, path)
    else if (znode.pzxid > since) connection.tell(EventType.NodeChildrenChanged, path)
    else tree.childWatches.add(path, connection, Mode.OneShot)
  }
}

const watchPersistently = (connection: Connection, path: string): void => {
  const { tree } = connection.server
  tree.dataWatches.add(path, connection, Mode.Persistent)
  tree.childWatches.add(path, connection, Mode.Persistent)
}

const watchRecursively = (connection: Connection, path: string): void => {
  const { release, tree } = connection.server
  tree.dataWatches.add(path, connection, Mode.Recursive)
  // Up to 3.8 in both lists, where removing or replacing it in one leaves the other.
  if (!release.severalModes) tree.childWatches.add(path, connection, Mode.Recursive)
}

/** Which modes in which list a watcher type stands for. */
interface Selection {
  readonly data: number
  readonly child: number
}

const every = ~0

/** From 3.9 on, one-shot watches and persistent ones are told apart. */
const selectionOf = ({ server }: Connection, type: number): Selection => {
  const { severalModes } = server.release
  switch (type) {
    case 1:
      return { data: 0, child: severalModes ? Mode.OneShot : every }
    case 2:
      return { data: severalModes ? Mode.OneShot : every, child: 0 }
    case 3:
      return { data: every, child: every }
    case 4:
      if (severalModes) return { data: Mode.Persistent, child: Mode.Persistent }
      break
    case 5:
      if (severalModes) return { data: Mode.Recursive, child: 0 }
  }
  throw new Refusal(ErrorCode.MarshallingError)
}

const addWatchMode = { Persistent: 0, PersistentRecursive: 1 } as const

export const watchOperations: ReadonlyArray<Operation> = [
  operation(protocol.setWatches, (connection, request) => {
    resume(connection, request)
    return {}
  }),

  operation(protocol.setWatches2, (connection, request) => {
    resume(connection, request)
    for (const path of request.persistentWatches) watchPersistently(connection, path)
    for (const path of request.persistentRecursiveWatches) watchRecursively(connection, path)
    return {}
  }),

  operation(protocol.addWatch, (connection, { mode, path }) => {
    if (mode === addWatchMode.Persistent) watchPersistently(connection, path)
    else if (mode === addWatchMode.PersistentRecursive) watchRecursively(connection, path)
    else throw new Refusal(ErrorCode.MarshallingError)
    return { err: ErrorCode.Ok }
  }),

  operation(protocol.checkWatches, (connection, { path, type }) => {
    const { child, data } = selectionOf(connection, type)
    const { childWatches, dataWatches } = connection.server.tree
    if (!dataWatches.has(path, connection, data) && !childWatches.has(path, connection, child)) {
      throw new Refusal(ErrorCode.NoWatcher)
    }
    return {}
  }),

  operation(protocol.removeWatches, (connection, { path, type }) => {
    const { child, data } = selectionOf(connection, type)
    const { childWatches, dataWatches } = connection.server.tree
    const removed = [childWatches.remove(path, connection, child), dataWatches.remove(path, connection, data)]
    if (!removed.includes(true)) throw new Refusal(ErrorCode.NoWatcher)
    return {}
  })
]
