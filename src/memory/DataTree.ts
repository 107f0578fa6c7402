/**
 * The tree of znodes, with the exact arithmetic of their Stats, quotas' usage,
 * and whom the server watches for: ephemerals, containers, TTL znodes.
 *
 * What reaches it has been checked: nothing here refuses. Watches fire as it
 * changes, in ZooKeeper's order.
 */
import type { Stat } from "../jute/Protocol.ts"
import * as AccessControl from "./AccessControl.ts"
import * as Quota from "./Quota.ts"
import { EventType, WatchList } from "./WatchTable.ts"

export type Data = Uint8Array | null

/** `ttl` of a container. */
export const container = -1
const noChildren: ReadonlySet<string> = new Set()

export class Znode {
  data: Data
  acl: AccessControl.AclList
  readonly czxid: bigint
  mzxid: bigint
  pzxid: bigint
  readonly ctime: number
  mtime: number
  version = 0
  /** Counts creations of children; clients see creations and deletions. */
  cversion = 0
  aversion = 0
  /** The session of an ephemeral, else 0. */
  readonly owner: bigint
  /** In ms; 0 for none, {@link container} for a container. */
  readonly ttl: number
  private names: Set<string> | undefined = undefined

  constructor(data: Data, acl: AccessControl.AclList, owner: bigint, ttl: number, zxid: bigint, time: number) {
    this.data = data
    this.acl = acl
    this.owner = owner
    this.ttl = ttl
    this.czxid = this.mzxid = this.pzxid = zxid
    this.ctime = this.mtime = time
  }

  get children(): ReadonlySet<string> {
    return this.names ?? noChildren
  }

  get childCount(): number {
    return this.names?.size ?? 0
  }

  addChild(name: string): void {
    this.names ??= new Set()
    this.names.add(name)
  }

  removeChild(name: string): void {
    this.names?.delete(name)
    if (this.names?.size === 0) this.names = undefined
  }

  get stat(): Stat {
    const numChildren = this.childCount
    return {
      czxid: this.czxid,
      mzxid: this.mzxid,
      ctime: this.ctime,
      mtime: this.mtime,
      version: this.version,
      cversion: 2 * this.cversion - numChildren | 0,
      aversion: this.aversion,
      ephemeralOwner: this.owner,
      dataLength: this.data?.length ?? 0,
      numChildren,
      pzxid: this.pzxid
    }
  }
}

/** A connection, as far as watches concern it. */
export interface Watcher {
  readonly notify: (type: number, path: string, zxid: bigint, acl: AccessControl.AclList) => void
}

/** Where a path's parent is: `""` for children of the root. */
export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"))

/** Where the membership of the ensemble stands. */
export const configPath = "/zookeeper/config"

export class DataTree<W extends Watcher> {
  private readonly znodes = new Map<string, Znode>()
  readonly dataWatches: WatchList<W>
  readonly childWatches: WatchList<W>
  /** Session → paths. */
  readonly ephemerals = new Map<bigint, Set<string>>()
  readonly containers = new Set<string>()
  readonly ttls = new Set<string>()
  /** Paths that have limits. */
  private readonly quotas = new Set<string>()

  constructor(severalModes: boolean) {
    this.dataWatches = new WatchList(severalModes)
    this.childWatches = new WatchList(severalModes)
    const root = this.plant("/", AccessControl.open)
    const system = this.plant("/zookeeper", AccessControl.open)
    this.plant(Quota.root, AccessControl.open)
    this.plant(configPath, AccessControl.readOnly).aversion = -1
    root.addChild("zookeeper")
    system.addChild("config")
    system.addChild("quota")
  }

  private plant(path: string, acl: AccessControl.AclList): Znode {
    const znode = new Znode(new Uint8Array(0), acl, 0n, 0, 0n, 0)
    this.znodes.set(path, znode)
    return znode
  }

  /** The root has two names: `"/"`, and `""` as the parent of what is right below it. */
  get(path: string): Znode | undefined {
    return this.znodes.get(path === "" ? "/" : path)
  }

  /** All znodes, parents before children. */
  entries(): IterableIterator<[path: string, znode: Znode]> {
    return this.znodes.entries()
  }

  get size(): number {
    return this.znodes.size
  }

  /** Bytes of all paths and data. */
  get dataSize(): number {
    let bytes = 0
    for (const [path, znode] of this.znodes) bytes += path.length + (znode.data?.length ?? 0)
    return bytes
  }

  countDescendants(path: string): number {
    if (path === "/") return this.znodes.size - 1
    let count = path === "" ? 1 : 0
    const prefix = `${path}/`
    for (const each of this.znodes.keys()) if (each !== "/" && each.startsWith(prefix)) count++
    return count
  }

  create(path: string, znode: Znode, parentCversion: number): void {
    const parentPath = parentOf(path)
    const parent = this.get(parentPath)
    if (parent === undefined) return
    const name = path.slice(parentPath.length + 1)
    // At the end of the 32 bits the counter sticks, and with it pzxid.
    if (parentCversion > parent.cversion) {
      parent.cversion = parentCversion
      parent.pzxid = znode.czxid
    }
    parent.addChild(name)
    this.znodes.set(path, znode)
    this.register(path, znode)
    if (parentPath.startsWith(Quota.root)) {
      const limited = parentPath.slice(Quota.root.length)
      if (name === Quota.limitsName) this.quotas.add(limited)
      if (name === Quota.statsName) this.measure(limited, znode)
    }
    this.account(path, 1, znode.data?.length ?? 0)
    this.fire(this.dataWatches, path, EventType.NodeCreated, znode.czxid, znode.acl)
    this.fire(this.childWatches, parentPath || "/", EventType.NodeChildrenChanged, znode.czxid, parent.acl)
  }

  /** Takes other znodes in place of all that there are, parents before their children. No watch fires. */
  replace(znodes: Iterable<readonly [path: string, znode: Znode]>): void {
    for (const all of [this.znodes, this.ephemerals, this.containers, this.ttls, this.quotas]) all.clear()
    for (const [path, znode] of znodes) {
      const parentPath = parentOf(path)
      const name = path.slice(parentPath.length + 1)
      this.znodes.set(path, znode)
      if (name !== "") this.get(parentPath)?.addChild(name)
      this.register(path, znode)
      if (parentPath.startsWith(Quota.root) && name === Quota.limitsName) {
        this.quotas.add(parentPath.slice(Quota.root.length))
      }
    }
  }

  /** Keeps track of a znode that goes by itself one day. */
  private register(path: string, znode: Znode): void {
    if (znode.ttl === container) this.containers.add(path)
    else if (znode.ttl !== 0) this.ttls.add(path)
    else if (znode.owner !== 0n) {
      const paths = this.ephemerals.get(znode.owner)
      if (paths === undefined) this.ephemerals.set(znode.owner, new Set([path]))
      else paths.add(path)
    }
  }

  delete(path: string, zxid: bigint): void {
    const parentPath = parentOf(path)
    const parent = this.get(parentPath)
    const znode = this.get(path)
    if (parent === undefined || znode === undefined) return
    const name = path.slice(parentPath.length + 1)
    parent.removeChild(name)
    if (zxid > parent.pzxid) parent.pzxid = zxid
    this.znodes.delete(path)
    this.containers.delete(path)
    this.ttls.delete(path)
    const siblings = this.ephemerals.get(znode.owner)
    siblings?.delete(path)
    if (siblings?.size === 0) this.ephemerals.delete(znode.owner)
    if (parentPath.startsWith(Quota.root) && name === Quota.limitsName) {
      this.quotas.delete(parentPath.slice(Quota.root.length))
    }
    this.account(path, -1, -(znode.data?.length ?? 0))
    const told = this.fire(this.dataWatches, path, EventType.NodeDeleted, zxid, znode.acl)
    this.fire(this.childWatches, path, EventType.NodeDeleted, zxid, znode.acl, told)
    this.fire(this.childWatches, parentPath || "/", EventType.NodeChildrenChanged, zxid, parent.acl)
  }

  setData(path: string, znode: Znode, data: Data, version: number, zxid: bigint, time: number): void {
    const growth = (data?.length ?? 0) - (znode.data?.length ?? 0)
    znode.data = data
    znode.version = version
    znode.mzxid = zxid
    znode.mtime = time
    this.account(path, 0, growth)
    this.fire(this.dataWatches, path, EventType.NodeDataChanged, zxid, znode.acl)
  }

  removeWatcher(watcher: W): void {
    this.dataWatches.removeWatcher(watcher)
    this.childWatches.removeWatcher(watcher)
  }

  private fire(
    watches: WatchList<W>,
    path: string,
    type: number,
    zxid: bigint,
    acl: AccessControl.AclList,
    except?: ReadonlyArray<W>
  ): ReadonlyArray<W> {
    const watchers = watches.fire(path, type)
    for (const watcher of watchers) if (!except?.includes(watcher)) watcher.notify(type, path, zxid, acl)
    return watchers
  }

  // --- Quotas

  /** The nearest path from here upwards that has a quota. */
  quotaOver(path: string): string | undefined {
    if (this.quotas.size === 0) return undefined
    for (let above = path; above !== ""; above = parentOf(above)) if (this.quotas.has(above)) return above
    return undefined
  }

  /** The usage is rewritten in place: neither version nor watch takes notice. */
  private account(path: string, count: number, bytes: number): void {
    const limited = this.quotaOver(path)
    const stats = limited === undefined ? undefined : this.get(Quota.statsPath(limited))
    if (stats !== undefined) stats.data = new Quota.Track(stats.data).plus(count, bytes)
  }

  private measure(limited: string, stats: Znode): void {
    let count = 0
    let bytes = 0
    for (const [path, { data }] of this.znodes) {
      if (path !== limited && !path.startsWith(`${limited}/`)) continue
      count++
      bytes += data?.length ?? 0
    }
    stats.data = Quota.usage(count, bytes)
  }
}
