/**
 * The numbers that name an operation in a request header.
 *
 * @example
 * ```ts
 * import { OpCode } from "effect-zookeeper/jute/OpCode"
 * import * as Protocol from "effect-zookeeper/jute/Protocol"
 *
 * Protocol.operations.multiRead.opCode === OpCode.MultiRead // => true
 * ```
 *
 * @since 0.1.0
 */

/**
 * Operation numbers of ZooKeeper 3.4 to 3.10 that a client may send.
 *
 * @see protocol: `org.apache.zookeeper.ZooDefs.OpCode`
 * @category constants
 * @since 0.1.0
 */
export const OpCode = {
  Error: -1,
  Create: 1,
  Delete: 2,
  Exists: 3,
  GetData: 4,
  SetData: 5,
  GetAcl: 6,
  SetAcl: 7,
  GetChildren: 8,
  Sync: 9,
  Ping: 11,
  GetChildren2: 12,
  Check: 13,
  Multi: 14,
  Create2: 15,
  Reconfig: 16,
  CheckWatches: 17,
  RemoveWatches: 18,
  CreateContainer: 19,
  CreateTtl: 21,
  MultiRead: 22,
  Auth: 100,
  SetWatches: 101,
  Sasl: 102,
  GetEphemerals: 103,
  GetAllChildrenNumber: 104,
  SetWatches2: 105,
  AddWatch: 106,
  WhoAmI: 107,
  CloseSession: -11
} as const
