/**
 * Client bugs, each of which the simulation catches within 200 seeds.
 */
import type { Bug } from "./Planted.ts"

export const bugs: ReadonlyArray<Bug> = [
  {
    name: "replies-by-position",
    file: "src/client/Connection.ts",
    find: "    if (pending.xid !== xid) {\n",
    replace: "    if (pending.xid !== xid && xid < 0) {\n"
  },
  {
    name: "zxid-from-pings",
    file: "src/client/Connection.ts",
    find: "    if (xid === Protocol.Xid.Ping) return this.onPing(code)\n",
    replace: "    if (xid === Protocol.Xid.Ping) {\n      this.listener.zxid(view.getBigInt64(at + 4))\n      return this.onPing(code)\n    }\n"
  },
  {
    name: "unknown-as-not-applied",
    file: "src/client/Connection.ts",
    find: "next !== undefined; next = this.pending.shift()) next.fail(reason, \"Unknown\")",
    replace: "next !== undefined; next = this.pending.shift()) next.fail(reason, \"NotApplied\")"
  },
  {
    name: "password-lost",
    file: "src/client/Session.ts",
    find: "      this.password = response.passwd.slice()\n",
    replace: "      this.password = response.passwd\n"
  }
]
