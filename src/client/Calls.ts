/**
 * The operations as the client asks them: which record goes out, what the
 * answer is worth, and which codes are about the znode.
 */
import * as Option from "effect/Option"
import { ErrorCode } from "../jute/ErrorCode.ts"
import { operations, type Stat } from "../jute/Protocol.ts"
import {
  BadArguments,
  BadVersion,
  InvalidAcl,
  NewConfigNoQuorum,
  NoAuth,
  NoChildrenForEphemerals,
  NodeExists,
  NoNode,
  NotEmpty,
  QuotaExceeded,
  ReconfigInProgress
} from "../ZooKeeperError.ts"
import { call, type Failing, type Subject } from "./Request.ts"

const at = ({ path }: Subject): string => path ?? "/"

const empty = new Uint8Array(0)

const failing = <Failure>(code: number, make: (subject: Subject) => Failure): Failing<Failure> => ({ code, make })

/** Errors about znodes, by the code that stands for them. */
export const noNode = failing(ErrorCode.NoNode, (subject) => new NoNode({ path: at(subject) }))
export const noAuth = failing(ErrorCode.NoAuth, (subject) => new NoAuth({ path: at(subject) }))
export const nodeExists = failing(ErrorCode.NodeExists, (subject) => new NodeExists({ path: at(subject) }))
export const notEmpty = failing(ErrorCode.NotEmpty, (subject) => new NotEmpty({ path: at(subject) }))
export const invalidAcl = failing(ErrorCode.InvalidAcl, (subject) => new InvalidAcl({ path: at(subject) }))
export const quota = failing(ErrorCode.QuotaExceeded, (subject) => new QuotaExceeded({ path: at(subject) }))
export const ephemeralParent = failing(
  ErrorCode.NoChildrenForEphemerals,
  (subject) => new NoChildrenForEphemerals({ path: at(subject) })
)
export const badVersion = failing(
  ErrorCode.BadVersion,
  (subject) => new BadVersion({ path: at(subject), expected: subject.version ?? -1 })
)
export const badArguments = failing(
  ErrorCode.BadArguments,
  (subject) =>
    new BadArguments({
      argument: "path",
      value: at(subject),
      problem: "the server refuses the operation with these arguments: a special znode, a bad mode or TTL"
    })
)

const reading = [noNode, noAuth, badArguments] as const
const creating = [...reading, nodeExists, invalidAcl, quota, ephemeralParent] as const

/** Every error that one operation of a transaction can be refused with. */
export const inTransaction = [...creating, badVersion, notEmpty] as const

const stat = (response: { readonly stat: Stat }) => response.stat

const data = (response: { readonly data: Uint8Array | null; readonly stat: Stat }) => ({
  data: response.data ?? empty,
  stat: response.stat
})

export const create = call("create", operations.create, { value: ({ path }) => path, failures: creating })
export const createWithStat = call("create", operations.create2, { value: (created) => created, failures: creating })
export const createContainer = call("create", operations.createContainer, {
  value: (created) => created,
  failures: creating
})
export const createTtl = call("create", operations.createTtl, { value: (created) => created, failures: creating })
export const remove = call("delete", operations.delete, {
  value: () => undefined,
  failures: [...reading, badVersion, notEmpty]
})
export const exists = call("exists", operations.exists, { value: stat, failures: reading, isRead: true })
export const get = call("get", operations.getData, { value: data, failures: reading, isRead: true })

// A missing znode is a value to these: no error is built for it.
const seeing = [noAuth, badArguments] as const
export const existsOrNot = call("exists", operations.exists, {
  value: (found) => Option.some(found.stat),
  absent: Option.none(),
  failures: seeing,
  isRead: true
})
export const getOrNot = call("changes", operations.getData, {
  value: (found) => Option.some(data(found)),
  absent: Option.none(),
  failures: seeing,
  isRead: true
})
export const getChildrenOrNot = call("childrenChanges", operations.getChildren2, {
  value: (found) => Option.some(found),
  absent: Option.none(),
  failures: seeing,
  isRead: true
})

export const set = call("set", operations.setData, {
  value: stat,
  failures: [...reading, badVersion, quota]
})
export const getChildren = call("getChildren", operations.getChildren, {
  value: ({ children }) => children,
  failures: reading,
  isRead: true
})
export const getChildrenWithStat = call("getChildren", operations.getChildren2, {
  value: (found) => found,
  failures: reading,
  isRead: true
})
export const getAcl = call("getAcl", operations.getAcl, { value: (found) => found, failures: reading, isRead: true })
export const setAcl = call("setAcl", operations.setAcl, {
  value: stat,
  failures: [...reading, badVersion, invalidAcl]
})
export const sync = call("sync", operations.sync, { value: () => undefined, isRead: true })
export const getEphemerals = call("getEphemerals", operations.getEphemerals, {
  value: ({ ephemerals }) => ephemerals,
  isRead: true
})
export const countDescendants = call("countDescendants", operations.getAllChildrenNumber, {
  value: ({ totalNumber }) => totalNumber,
  failures: reading,
  isRead: true
})
export const whoAmI = call("whoAmI", operations.whoAmI, { value: ({ clientInfo }) => clientInfo, isRead: true })
export const reconfig = call("reconfig", operations.reconfig, {
  value: data,
  failures: [
    noAuth,
    badVersion,
    failing(ErrorCode.ReconfigInProgress, () => new ReconfigInProgress({})),
    failing(ErrorCode.NewConfigNoQuorum, () => new NewConfigNoQuorum({})),
    failing(ErrorCode.BadArguments, () =>
      new BadArguments({
        argument: "reconfig",
        value: "",
        problem: "the server refuses the change: malformed, unknown members, or too few of them left"
      }))
  ]
})
export const multi = call("transaction", operations.multi, { value: (results) => results })
export const multiRead = call("getMany", operations.multiRead, { value: (results) => results, isRead: true })
