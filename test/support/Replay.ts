/** Listeners of tree caches that check every change. */
import type * as TreeCache from "../../src/recipe/TreeCache.ts"
import type { Znode } from "../../src/Znode.ts"
import * as ZnodePath from "../../src/ZnodePath.ts"

/**
 * A listener that rebuilds the cache from what it is told, and checks every
 * change: creations only of what is absent, old values as they were, and
 * no mzxid that goes back.
 */
export class Replay {
  readonly nodes = new Map<string, Znode>()
  private readonly newest = new Map<string, bigint>()
  readonly faults: Array<string> = []
  changes = 0

  readonly apply = (change: TreeCache.Change): void => {
    this.changes++
    if (change._tag === "Snapshot") {
      this.nodes.clear()
      for (const [path, znode] of change.nodes) {
        this.nodes.set(path, znode)
        this.advance(path, znode)
      }
      return
    }
    const { path } = change
    const before = this.nodes.get(path)
    if (change._tag === "Created") {
      if (before !== undefined) this.faults.push(`${path} created twice`)
      if (path !== "/" && this.nodes.size > 0 && !this.nodes.has(ZnodePath.parent(path))) {
        this.faults.push(`${path} created without its parent`)
      }
    } else if (before === undefined || before.stat.mzxid !== change.previous.stat.mzxid) {
      this.faults.push(`${change._tag} ${path} after something else`)
    }
    if (change._tag === "Deleted") this.nodes.delete(path)
    else {
      this.advance(path, change.znode)
      this.nodes.set(path, change.znode)
    }
  }

  private advance(path: string, { stat }: Znode): void {
    const newest = this.newest.get(path) ?? -1n
    const again = this.nodes.get(path)?.stat.mzxid === stat.mzxid
    if (stat.mzxid < newest || stat.mzxid === newest && !again) this.faults.push(`${path} goes back to ${stat.mzxid}`)
    this.newest.set(path, stat.mzxid)
  }
}
