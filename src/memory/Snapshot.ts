/**
 * Everything that a server would find again after a restart: the tree, the
 * sessions, and how far its zxids are. As a value, and as JSON.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Acl } from "../Acl.ts"
import * as ZnodePath from "../ZnodePath.ts"
import * as AccessControl from "./AccessControl.ts"
import { parentOf, Znode } from "./DataTree.ts"
import type { Server } from "./Server.ts"

const Long = Schema.BigIntFromString

export const Snapshot = Schema.Struct({
  format: Schema.Literal("effect-zookeeper snapshot 1"),
  /** The last transaction. */
  zxid: Long,
  sessions: Schema.Array(Schema.Struct({
    id: Long,
    /** In ms. */
    timeout: Schema.Int
  })),
  /** Parents before their children. */
  znodes: Schema.Array(Schema.Struct({
    path: Schema.String,
    data: Schema.NullOr(Schema.Uint8ArrayFromBase64),
    acl: Schema.Array(Acl),
    czxid: Long,
    mzxid: Long,
    pzxid: Long,
    ctime: Schema.Int,
    mtime: Schema.Int,
    version: Schema.Int,
    /** Creations of children: not what a Stat shows. */
    cversion: Schema.Int,
    aversion: Schema.Int,
    /** The session of an ephemeral, else 0. */
    owner: Long,
    /** In ms; 0 for none, -1 for a container. */
    ttl: Schema.Int
  }))
})

export type Snapshot = typeof Snapshot.Type

/** The snapshot as JSON text. */
export const FromJson = Schema.fromJsonString(Snapshot)

/** A snapshot that contradicts itself. */
export class InvalidSnapshot extends Schema.TaggedError<InvalidSnapshot>("~effect-zookeeper/memory/InvalidSnapshot")(
  "InvalidSnapshot",
  { path: Schema.String, problem: Schema.String }
) {
  override get message() {
    return `The snapshot is of no use: ${this.path}: ${this.problem}`
  }
}

export const save = ({ tracker, tree, zxid }: Server): Snapshot => ({
  format: "effect-zookeeper snapshot 1",
  zxid,
  sessions: Array.from(tracker).flatMap(({ id, isLocal, timeout }) => isLocal ? [] : [{ id, timeout }]),
  znodes: Array.from(tree.entries(), ([path, znode]) => ({
    path,
    data: znode.data,
    acl: znode.acl,
    czxid: znode.czxid,
    mzxid: znode.mzxid,
    pzxid: znode.pzxid,
    ctime: znode.ctime,
    mtime: znode.mtime,
    version: znode.version,
    cversion: znode.cversion,
    aversion: znode.aversion,
    owner: znode.owner,
    ttl: znode.ttl
  }))
})

const required = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"]

const problemOf = ({ sessions, znodes }: Snapshot): InvalidSnapshot | undefined => {
  const ids = new Set(sessions.map(({ id }) => id))
  const paths = new Map<string, bigint>()
  for (const { owner, path } of znodes) {
    const parent = paths.get(parentOf(path) || "/")
    const problem = ZnodePath.problemOf(path)
      ?? (paths.has(path) ? "is there twice" : undefined)
      ?? (parent === undefined && path !== "/" ? "comes before its parent" : undefined)
      ?? (parent !== undefined && parent !== 0n ? "is below an ephemeral" : undefined)
      ?? (owner !== 0n && !ids.has(owner) ? "is an ephemeral of no session" : undefined)
    if (problem !== undefined) return new InvalidSnapshot({ path, problem })
    paths.set(path, owner)
  }
  const missing = required.find((path) => !paths.has(path))
  return missing === undefined ? undefined : new InvalidSnapshot({ path: missing, problem: "is missing" })
}

/**
 * Puts a server where the snapshot was, which is for one that nobody is
 * connected to: no watch fires. Sessions have all of their time again. Fails
 * with `InvalidSnapshot`, and changes nothing then.
 */
export const load = (server: Server, snapshot: Snapshot): Effect.Effect<void, InvalidSnapshot> =>
  Effect.suspend(() => {
    const problem = problemOf(snapshot)
    if (problem !== undefined) return Effect.fail(problem)
    for (const session of [...server.tracker]) server.tracker.close(session)
    server.tree.replace(snapshot.znodes.map((saved) => {
      const acl = AccessControl.shared(saved.acl)
      const znode = new Znode(saved.data, acl, saved.owner, saved.ttl, saved.czxid, saved.ctime)
      znode.mzxid = saved.mzxid
      znode.pzxid = saved.pzxid
      znode.mtime = saved.mtime
      znode.version = saved.version
      znode.cversion = saved.cversion
      znode.aversion = saved.aversion
      return [saved.path, znode]
    }))
    for (const { id, timeout } of snapshot.sessions) server.tracker.restore(id, timeout, "", false, server.elapsed)
    server.zxid = snapshot.zxid
    server.flush()
    return Effect.void
  })
