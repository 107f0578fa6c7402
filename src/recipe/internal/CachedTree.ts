/**
 * A copy of a tree of znodes that is made from readings of single znodes, and
 * tells how it changes. Pure: what to read, and when, is decided elsewhere.
 *
 * A znode is the same as long as its czxid is, and newer where its mzxid is;
 * readings that are older than the copy are ignored. There is never a znode
 * without its parent.
 */
import type { Stat, Znode } from "../../Znode.ts"
import * as ZnodePath from "../../ZnodePath.ts"
import type { Created, Deleted, Updated } from "../TreeCache.ts"

interface Entry {
  znode: Znode
  /** Names of the children that are cached too. */
  readonly children: Set<string>
  /** The pzxid at which all children were found; -1 where some may be missing. */
  listedAt: bigint
}

const noBytes = new Uint8Array(0)
const never = -1n

export class CachedTree {
  private readonly root: string
  private readonly keepsData: boolean
  private readonly tell: (change: Created | Updated | Deleted) => void
  private readonly entries = new Map<string, Entry>()

  constructor(root: string, keepsData: boolean, tell: (change: Created | Updated | Deleted) => void) {
    this.root = root
    this.keepsData = keepsData
    this.tell = tell
  }

  get size(): number {
    return this.entries.size
  }

  has(path: string): boolean {
    return this.entries.has(path)
  }

  get(path: string): Znode | undefined {
    return this.entries.get(path)?.znode
  }

  children(path: string): ReadonlyArray<string> | undefined {
    const entry = this.entries.get(path)
    return entry === undefined ? undefined : [...entry.children]
  }

  snapshot(): ReadonlyMap<string, Znode> {
    const nodes = new Map<string, Znode>()
    for (const [path, entry] of this.entries) nodes.set(path, entry.znode)
    return nodes
  }

  /** Whether the children are known as of this Stat. */
  isListed(path: string, stat: Stat): boolean {
    return this.entries.get(path)?.listedAt === stat.pzxid
  }

  /** The children were found as of this Stat, and have been read. */
  listed(path: string, stat: Stat): void {
    const entry = this.entries.get(path)
    if (entry !== undefined && entry.znode.stat.czxid === stat.czxid) entry.listedAt = stat.pzxid
  }

  /** Takes in what was read. `false` where the parent is not cached: it must be read first. */
  put(path: string, read: Znode): boolean {
    const { stat } = read
    const entry = this.entries.get(path)
    if (entry === undefined) {
      if (path === this.root) return this.create(path, read)
      const parent = this.entries.get(ZnodePath.parent(path))
      if (parent === undefined) return false
      parent.children.add(ZnodePath.name(path))
      return this.create(path, read)
    }
    const previous = entry.znode
    if (stat.czxid > previous.stat.czxid) {
      this.removeBelow(path, stat.czxid)
      // Whoever is told finds the tree as it is then.
      this.entries.delete(path)
      this.tell({ _tag: "Deleted", path, previous })
      entry.znode = this.kept(read)
      entry.listedAt = never
      this.entries.set(path, entry)
      this.tell({ _tag: "Created", path, znode: entry.znode })
    } else if (stat.czxid === previous.stat.czxid && stat.mzxid > previous.stat.mzxid) {
      entry.znode = this.kept(read)
      this.tell({ _tag: "Updated", path, znode: entry.znode, previous })
    } else if (stat.czxid === previous.stat.czxid && stat.mzxid === previous.stat.mzxid) {
      // Children and ACL leave their traces in a Stat too.
      entry.znode = { data: previous.data, stat }
    }
    return true
  }

  /** There is no such znode, with all below it. */
  remove(path: string): void {
    const entry = this.entries.get(path)
    if (entry === undefined) return
    this.removeBelow(path, undefined)
    this.drop(path, entry)
  }

  /** It exists and may not be read: its parent's children are not all known. */
  hide(path: string): void {
    const parent = this.entries.get(ZnodePath.parent(path))
    if (parent !== undefined) parent.listedAt = never
    this.remove(path)
  }

  private kept({ data, stat }: Znode): Znode {
    // A copy: the bytes of a reply share their memory with all others in it.
    return { data: this.keepsData ? data.slice() : noBytes, stat }
  }

  private create(path: string, read: Znode): true {
    const znode = this.kept(read)
    this.entries.set(path, { znode, children: new Set(), listedAt: never })
    this.tell({ _tag: "Created", path, znode })
    return true
  }

  /** Deepest first. Those that were created after `czxid` belong to a parent that is newer than the cached one. */
  private removeBelow(path: string, czxid: bigint | undefined): void {
    const found: Array<string> = []
    for (let at: string | undefined = path, index = 0; at !== undefined; at = found[index++]) {
      for (const name of this.entries.get(at)?.children ?? []) found.push(ZnodePath.join(at, name))
    }
    for (const below of found.toReversed()) {
      const entry = this.entries.get(below)
      if (entry !== undefined && (czxid === undefined || entry.znode.stat.czxid < czxid)) this.drop(below, entry)
    }
  }

  private drop(path: string, entry: Entry): void {
    this.entries.delete(path)
    if (path !== this.root) this.entries.get(ZnodePath.parent(path))?.children.delete(ZnodePath.name(path))
    this.tell({ _tag: "Deleted", path, previous: entry.znode })
  }
}
