/**
 * Bytes as a real ZooKeeper 3.8.0 took and sent them, and the values they
 * stand for.
 *
 * Captured with a throw-away script that knows nothing of our Schemas: it put
 * the requests together by hand, sent them to a server, and kept them if the
 * server answered with error 0; the responses are what it answered. `reconfig`
 * comes from an ensemble of three, everything else from a standalone server.
 *
 * Blanks in the hex separate the fields.
 */
import type * as Schema from "effect/Schema"
import * as Protocol from "../../src/jute/Protocol.ts"

export interface Golden {
  readonly name: string
  readonly schema: Schema.Codec<unknown, unknown>
  readonly bytes: Uint8Array
  readonly value: unknown
}

/** Hex to bytes; white space is for people. */
export const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"))

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

const golden = <A>(name: string, schema: Schema.Codec<A, unknown>, hex: string, value: NoInfer<A>): Golden => ({
  name,
  schema,
  bytes: bytes(hex),
  value
})

const { operations } = Protocol

export const goldens: ReadonlyArray<Golden> = [
  golden(
    "44 bytes: connect request of a client before 3.4",
    Protocol.ConnectRequest,
    "00000000 0000000000000000 00002710 0000000000000000 00000010 00000000000000000000000000000000",
    {
      protocolVersion: 0,
      lastZxidSeen: 0n,
      timeOut: 10000,
      sessionId: 0n,
      passwd: bytes("00000000000000000000000000000000")
    }
  ),
  golden(
    "36 bytes: connect response to it",
    Protocol.ConnectResponse,
    "00000000 00002710 0100007472f60000 00000010 0826b2eaf592fac7267c95ddc648daa2",
    {
      protocolVersion: 0,
      timeOut: 10000,
      sessionId: 0x100007472f60000n,
      passwd: bytes("0826b2eaf592fac7267c95ddc648daa2")
    }
  ),
  golden(
    "connect request",
    Protocol.ConnectRequest,
    "00000000 0000000000000000 00003039 0000000000000000 00000010 00000000000000000000000000000000 01",
    {
      protocolVersion: 0,
      lastZxidSeen: 0n,
      timeOut: 12345,
      sessionId: 0n,
      passwd: bytes("00000000000000000000000000000000"),
      readOnly: true
    }
  ),
  golden(
    "connect response",
    Protocol.ConnectResponse,
    "00000000 00003039 0100007472f60001 00000010 1b47acea95ded90c1bbffc089ad1ee6f 00",
    {
      protocolVersion: 0,
      timeOut: 12345,
      sessionId: 0x100007472f60001n,
      passwd: bytes("1b47acea95ded90c1bbffc089ad1ee6f"),
      readOnly: false
    }
  ),
  golden(
    "connect request of an unknown session",
    Protocol.ConnectRequest,
    "00000000 0000000000000001 00000fa0 80ffffffffffffff 00000010 30313233343536373839616263646566 00",
    {
      protocolVersion: 0,
      lastZxidSeen: 1n,
      timeOut: 4000,
      sessionId: -0x7f00000000000001n,
      passwd: utf8("0123456789abcdef"),
      readOnly: false
    }
  ),
  golden(
    "connect response: the session is refused",
    Protocol.ConnectResponse,
    "00000000 00000000 0000000000000000 00000010 00000000000000000000000000000000 00",
    {
      protocolVersion: 0,
      timeOut: 0,
      sessionId: 0n,
      passwd: bytes("00000000000000000000000000000000"),
      readOnly: false
    }
  ),
  golden("ping request", operations.ping.request, "", {}),
  golden("ping response", operations.ping.response, "", {}),
  golden(
    "reply header of a ping",
    Protocol.ReplyHeader,
    "fffffffe 0000000000000003 00000000",
    { xid: -2, zxid: 3n, err: 0 }
  ),
  golden(
    "create request",
    operations.create.request,
    `
      00000007 2f676f6c64656e 00000005 68656c6c6f 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65
      00000000
    `,
    {
      path: "/golden",
      data: utf8("hello"),
      acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
      flags: 0
    }
  ),
  golden("create response", operations.create.response, "00000007 2f676f6c64656e", { path: "/golden" }),
  golden(
    "reply header of a create",
    Protocol.ReplyHeader,
    "00000001 0000000000000004 00000000",
    { xid: 1, zxid: 4n, err: 0 }
  ),
  golden(
    "create without data request",
    operations.create.request,
    `
      0000000c 2f676f6c64656e2f6e756c6c ffffffff 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65
      00000000
    `,
    {
      path: "/golden/null",
      data: null,
      acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
      flags: 0
    }
  ),
  golden(
    "create without data response",
    operations.create.response,
    "0000000c 2f676f6c64656e2f6e756c6c",
    { path: "/golden/null" }
  ),
  golden(
    "create with empty data, sequential request",
    operations.create.request,
    `
      0000000e 2f676f6c64656e2f656d7074792d 00000000 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65
      00000002
    `,
    {
      path: "/golden/empty-",
      data: utf8(""),
      acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
      flags: 2
    }
  ),
  golden(
    "create with empty data, sequential response",
    operations.create.response,
    "00000018 2f676f6c64656e2f656d7074792d30303030303030303031",
    { path: "/golden/empty-0000000001" }
  ),
  golden(
    "create2, ephemeral request",
    operations.create2.request,
    `
      0000000e 2f676f6c64656e2f7a77c3b66c66 00000003 00ff80 00000001 0000001f 00000005 776f726c64 00000006
      616e796f6e65 00000001
    `,
    {
      path: "/golden/zwölf",
      data: bytes("00ff80"),
      acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
      flags: 1
    }
  ),
  golden(
    "create2, ephemeral response",
    operations.create2.response,
    `
      0000000e 2f676f6c64656e2f7a77c3b66c66 0000000000000007 0000000000000007 000001a20832f949 000001a20832f949
      00000000 00000000 00000000 0100007472f60001 00000003 00000000 0000000000000007
    `,
    {
      path: "/golden/zwölf",
      stat: {
        czxid: 7n, mzxid: 7n, ctime: 1795433888073, mtime: 1795433888073,
        version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0x100007472f60001n,
        dataLength: 3, numChildren: 0, pzxid: 7n
      }
    }
  ),
  golden(
    "createContainer request",
    operations.createContainer.request,
    `
      00000011 2f676f6c64656e2f636f6e7461696e6572 ffffffff 00000001 0000001f 00000005 776f726c64 00000006
      616e796f6e65 00000004
    `,
    {
      path: "/golden/container",
      data: null,
      acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
      flags: 4
    }
  ),
  golden(
    "createContainer response",
    operations.createContainer.response,
    `
      00000011 2f676f6c64656e2f636f6e7461696e6572 0000000000000008 0000000000000008 000001a20832f94b
      000001a20832f94b 00000000 00000000 00000000 0000000000000000 00000000 00000000 0000000000000008
    `,
    {
      path: "/golden/container",
      stat: {
        czxid: 8n, mzxid: 8n, ctime: 1795433888075, mtime: 1795433888075,
        version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n,
        dataLength: 0, numChildren: 0, pzxid: 8n
      }
    }
  ),
  golden(
    "createTtl request",
    operations.createTtl.request,
    `
      0000000b 2f676f6c64656e2f74746c 00000001 78 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65
      00000005 0000000100000005
    `,
    {
      path: "/golden/ttl",
      data: utf8("x"),
      acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
      flags: 5,
      ttl: 4294967301
    }
  ),
  golden(
    "createTtl response",
    operations.createTtl.response,
    `
      0000000b 2f676f6c64656e2f74746c 0000000000000009 0000000000000009 000001a20832f94d 000001a20832f94d 00000000
      00000000 00000000 0000000000000000 00000001 00000000 0000000000000009
    `,
    {
      path: "/golden/ttl",
      stat: {
        czxid: 9n, mzxid: 9n, ctime: 1795433888077, mtime: 1795433888077,
        version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n,
        dataLength: 1, numChildren: 0, pzxid: 9n
      }
    }
  ),
  golden("exists request", operations.exists.request, "00000007 2f676f6c64656e 00", { path: "/golden", watch: false }),
  golden(
    "exists response",
    operations.exists.response,
    `
      0000000000000004 0000000000000004 000001a20832f93e 000001a20832f93e 00000000 00000005 00000000
      0000000000000000 00000005 00000005 0000000000000009
    `,
    {
      stat: {
        czxid: 4n, mzxid: 4n, ctime: 1795433888062, mtime: 1795433888062,
        version: 0, cversion: 5, aversion: 0, ephemeralOwner: 0n,
        dataLength: 5, numChildren: 5, pzxid: 9n
      }
    }
  ),
  golden(
    "reply header of an error",
    Protocol.ReplyHeader,
    "00000008 0000000000000009 ffffff9b",
    { xid: 8, zxid: 9n, err: -101 }
  ),
  golden(
    "getData request",
    operations.getData.request,
    "00000007 2f676f6c64656e 01",
    { path: "/golden", watch: true }
  ),
  golden(
    "getData response",
    operations.getData.response,
    `
      00000005 68656c6c6f 0000000000000004 0000000000000004 000001a20832f93e 000001a20832f93e 00000000 00000005
      00000000 0000000000000000 00000005 00000005 0000000000000009
    `,
    {
      data: utf8("hello"),
      stat: {
        czxid: 4n, mzxid: 4n, ctime: 1795433888062, mtime: 1795433888062,
        version: 0, cversion: 5, aversion: 0, ephemeralOwner: 0n,
        dataLength: 5, numChildren: 5, pzxid: 9n
      }
    }
  ),
  golden(
    "getData of a znode without data request",
    operations.getData.request,
    "0000000c 2f676f6c64656e2f6e756c6c 00",
    { path: "/golden/null", watch: false }
  ),
  golden(
    "getData of a znode without data response",
    operations.getData.response,
    `
      ffffffff 0000000000000005 0000000000000005 000001a20832f946 000001a20832f946 00000000 00000000 00000000
      0000000000000000 00000000 00000000 0000000000000005
    `,
    {
      data: null,
      stat: {
        czxid: 5n, mzxid: 5n, ctime: 1795433888070, mtime: 1795433888070,
        version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n,
        dataLength: 0, numChildren: 0, pzxid: 5n
      }
    }
  ),
  golden(
    "getData of a znode with empty data request",
    operations.getData.request,
    "00000018 2f676f6c64656e2f656d7074792d30303030303030303031 00",
    { path: "/golden/empty-0000000001", watch: false }
  ),
  golden(
    "getData of a znode with empty data response",
    operations.getData.response,
    `
      00000000 0000000000000006 0000000000000006 000001a20832f947 000001a20832f947 00000000 00000000 00000000
      0000000000000000 00000000 00000000 0000000000000006
    `,
    {
      data: utf8(""),
      stat: {
        czxid: 6n, mzxid: 6n, ctime: 1795433888071, mtime: 1795433888071,
        version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n,
        dataLength: 0, numChildren: 0, pzxid: 6n
      }
    }
  ),
  golden(
    "setData request",
    operations.setData.request,
    "00000007 2f676f6c64656e 00000006 776f726c6421 00000000",
    { path: "/golden", data: utf8("world!"), version: 0 }
  ),
  golden(
    "setData response",
    operations.setData.response,
    `
      0000000000000004 000000000000000a 000001a20832f93e 000001a20832f955 00000001 00000005 00000000
      0000000000000000 00000006 00000005 0000000000000009
    `,
    {
      stat: {
        czxid: 4n, mzxid: 10n, ctime: 1795433888062, mtime: 1795433888085,
        version: 1, cversion: 5, aversion: 0, ephemeralOwner: 0n,
        dataLength: 6, numChildren: 5, pzxid: 9n
      }
    }
  ),
  golden(
    "reply header of a notification",
    Protocol.ReplyHeader,
    "ffffffff ffffffffffffffff 00000000",
    { xid: -1, zxid: -1n, err: 0 }
  ),
  golden(
    "watcher event",
    Protocol.WatcherEvent,
    "00000003 00000003 00000007 2f676f6c64656e",
    { type: 3, state: 3, path: "/golden" }
  ),
  golden(
    "auth request",
    operations.auth.request,
    "00000000 00000006 646967657374 0000000d 757365723a70617373776f7264",
    { type: 0, scheme: "digest", auth: utf8("user:password") }
  ),
  golden("auth response", operations.auth.response, "", {}),
  golden(
    "setAcl request",
    operations.setAcl.request,
    `
      0000000c 2f676f6c64656e2f6e756c6c 00000003 00000001 00000005 776f726c64 00000006 616e796f6e65 0000001f
      00000006 646967657374 00000024 6ac3bc7267656e3a4142434445464748494a4b4c4d4e4f505152535455565758595a303d
      0000001f 00000004 61757468 00000000 ffffffff
    `,
    {
      path: "/golden/null",
      acl: [
        { perms: 1, id: { scheme: "world", id: "anyone" } },
        { perms: 31, id: { scheme: "digest", id: "jürgen:ABCDEFGHIJKLMNOPQRSTUVWXYZ0=" } },
        { perms: 31, id: { scheme: "auth", id: "" } }
      ],
      version: -1
    }
  ),
  golden(
    "setAcl response",
    operations.setAcl.response,
    `
      0000000000000005 0000000000000005 000001a20832f946 000001a20832f946 00000000 00000000 00000001
      0000000000000000 00000000 00000000 0000000000000005
    `,
    {
      stat: {
        czxid: 5n, mzxid: 5n, ctime: 1795433888070, mtime: 1795433888070,
        version: 0, cversion: 0, aversion: 1, ephemeralOwner: 0n,
        dataLength: 0, numChildren: 0, pzxid: 5n
      }
    }
  ),
  golden("getAcl request", operations.getAcl.request, "0000000c 2f676f6c64656e2f6e756c6c", { path: "/golden/null" }),
  golden(
    "getAcl response",
    operations.getAcl.response,
    `
      00000003 00000001 00000005 776f726c64 00000006 616e796f6e65 0000001f 00000006 646967657374 00000024
      6ac3bc7267656e3a4142434445464748494a4b4c4d4e4f505152535455565758595a303d 0000001f 00000006 646967657374
      00000021 757365723a747055712f34506e3541363466565a795130674f4a385a57716b593d 0000000000000005
      0000000000000005 000001a20832f946 000001a20832f946 00000000 00000000 00000001 0000000000000000 00000000
      00000000 0000000000000005
    `,
    {
      acl: [
        { perms: 1, id: { scheme: "world", id: "anyone" } },
        { perms: 31, id: { scheme: "digest", id: "jürgen:ABCDEFGHIJKLMNOPQRSTUVWXYZ0=" } },
        { perms: 31, id: { scheme: "digest", id: "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=" } }
      ],
      stat: {
        czxid: 5n, mzxid: 5n, ctime: 1795433888070, mtime: 1795433888070,
        version: 0, cversion: 0, aversion: 1, ephemeralOwner: 0n,
        dataLength: 0, numChildren: 0, pzxid: 5n
      }
    }
  ),
  golden(
    "getChildren request",
    operations.getChildren.request,
    "00000007 2f676f6c64656e 01",
    { path: "/golden", watch: true }
  ),
  golden(
    "getChildren response",
    operations.getChildren.response,
    `
      00000005 00000009 636f6e7461696e6572 00000010 656d7074792d30303030303030303031 00000006 7a77c3b66c66
      00000004 6e756c6c 00000003 74746c
    `,
    { children: ["container", "empty-0000000001", "zwölf", "null", "ttl"] }
  ),
  golden(
    "getChildren of a leaf request",
    operations.getChildren.request,
    "0000000b 2f676f6c64656e2f74746c 00",
    { path: "/golden/ttl", watch: false }
  ),
  golden("getChildren of a leaf response", operations.getChildren.response, "00000000", { children: [] }),
  golden(
    "getChildren2 request",
    operations.getChildren2.request,
    "00000007 2f676f6c64656e 01",
    { path: "/golden", watch: true }
  ),
  golden(
    "getChildren2 response",
    operations.getChildren2.response,
    `
      00000005 00000009 636f6e7461696e6572 00000010 656d7074792d30303030303030303031 00000006 7a77c3b66c66
      00000004 6e756c6c 00000003 74746c 0000000000000004 000000000000000a 000001a20832f93e 000001a20832f955
      00000001 00000005 00000000 0000000000000000 00000006 00000005 0000000000000009
    `,
    {
      children: ["container", "empty-0000000001", "zwölf", "null", "ttl"],
      stat: {
        czxid: 4n, mzxid: 10n, ctime: 1795433888062, mtime: 1795433888085,
        version: 1, cversion: 5, aversion: 0, ephemeralOwner: 0n,
        dataLength: 6, numChildren: 5, pzxid: 9n
      }
    }
  ),
  golden("sync request", operations.sync.request, "00000007 2f676f6c64656e", { path: "/golden" }),
  golden("sync response", operations.sync.response, "00000007 2f676f6c64656e", { path: "/golden" }),
  golden(
    "checkWatches request",
    operations.checkWatches.request,
    "00000007 2f676f6c64656e 00000001",
    { path: "/golden", type: 1 }
  ),
  golden("checkWatches response", operations.checkWatches.response, "", {}),
  golden(
    "removeWatches request",
    operations.removeWatches.request,
    "00000007 2f676f6c64656e 00000003",
    { path: "/golden", type: 3 }
  ),
  golden("removeWatches response", operations.removeWatches.response, "", {}),
  golden(
    "addWatch request",
    operations.addWatch.request,
    "00000007 2f676f6c64656e 00000001",
    { path: "/golden", mode: 1 }
  ),
  golden("addWatch response", operations.addWatch.response, "00000000", { err: 0 }),
  golden(
    "setWatches request",
    operations.setWatches.request,
    `
      00007fffffffffff 00000002 00000007 2f676f6c64656e 0000000e 2f676f6c64656e2f7a77c3b66c66 00000001 0000000f
      2f676f6c64656e2f6d697373696e67 00000000
    `,
    {
      relativeZxid: 140737488355327n,
      dataWatches: ["/golden", "/golden/zwölf"],
      existWatches: ["/golden/missing"],
      childWatches: []
    }
  ),
  golden("setWatches response", operations.setWatches.response, "", {}),
  golden(
    "setWatches2 request",
    operations.setWatches2.request,
    `
      00007fffffffffff 00000000 00000000 00000001 00000007 2f676f6c64656e 00000001 00000001 2f 00000002 00000007
      2f676f6c64656e 0000000b 2f676f6c64656e2f74746c
    `,
    {
      relativeZxid: 140737488355327n,
      dataWatches: [],
      existWatches: [],
      childWatches: ["/golden"],
      persistentWatches: ["/"],
      persistentRecursiveWatches: ["/golden", "/golden/ttl"]
    }
  ),
  golden("setWatches2 response", operations.setWatches2.response, "", {}),
  golden(
    "getEphemerals request",
    operations.getEphemerals.request,
    "00000007 2f676f6c64656e",
    { prefixPath: "/golden" }
  ),
  golden(
    "getEphemerals response",
    operations.getEphemerals.response,
    "00000001 0000000e 2f676f6c64656e2f7a77c3b66c66",
    { ephemerals: ["/golden/zwölf"] }
  ),
  golden(
    "getAllChildrenNumber request",
    operations.getAllChildrenNumber.request,
    "00000007 2f676f6c64656e",
    { path: "/golden" }
  ),
  golden("getAllChildrenNumber response", operations.getAllChildrenNumber.response, "00000005", { totalNumber: 5 }),
  golden("whoAmI request", operations.whoAmI.request, "", {}),
  golden(
    "whoAmI response",
    operations.whoAmI.response,
    "00000002 00000006 646967657374 00000004 75736572 00000002 6970 00000009 3132372e302e302e31",
    { clientInfo: [{ authScheme: "digest", user: "user" }, { authScheme: "ip", user: "127.0.0.1" }] }
  ),
  golden(
    "multi, all kinds request",
    operations.multi.request,
    `
      00000001 00 ffffffff 0000000d 2f676f6c64656e2f6d756c7469 00000001 61 00000001 0000001f 00000005 776f726c64
      00000006 616e796f6e65 00000000 0000000f 00 ffffffff 0000000f 2f676f6c64656e2f6d756c74692f32 ffffffff
      00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00000000 00000013 00 ffffffff 0000000f
      2f676f6c64656e2f6d756c74692f63 00000000 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00000004
      00000015 00 ffffffff 0000000f 2f676f6c64656e2f6d756c74692f74 ffffffff 00000001 0000001f 00000005 776f726c64
      00000006 616e796f6e65 00000005 000000000000ea60 0000000d 00 ffffffff 0000000d 2f676f6c64656e2f6d756c7469
      00000000 00000005 00 ffffffff 0000000d 2f676f6c64656e2f6d756c7469 00000002 6263 00000000 00000002 00
      ffffffff 0000000f 2f676f6c64656e2f6d756c74692f32 ffffffff ffffffff 01 ffffffff
    `,
    [
      {
        type: 1,
        request: {
          path: "/golden/multi",
          data: utf8("a"),
          acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
          flags: 0
        }
      },
      {
        type: 15,
        request: {
          path: "/golden/multi/2",
          data: null,
          acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
          flags: 0
        }
      },
      {
        type: 19,
        request: {
          path: "/golden/multi/c",
          data: utf8(""),
          acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
          flags: 4
        }
      },
      {
        type: 21,
        request: {
          path: "/golden/multi/t",
          data: null,
          acl: [{ perms: 31, id: { scheme: "world", id: "anyone" } }],
          flags: 5,
          ttl: 60000
        }
      },
      { type: 13, request: { path: "/golden/multi", version: 0 } },
      { type: 5, request: { path: "/golden/multi", data: utf8("bc"), version: 0 } },
      { type: 2, request: { path: "/golden/multi/2", version: -1 } }
    ]
  ),
  golden(
    "multi, all kinds response",
    operations.multi.response,
    `
      00000001 00 00000000 0000000d 2f676f6c64656e2f6d756c7469 00000001 00 00000000 0000000f
      2f676f6c64656e2f6d756c74692f32 0000000f 00 00000000 0000000f 2f676f6c64656e2f6d756c74692f63 000000000000000c
      000000000000000c 000001a20832f974 000001a20832f974 00000000 00000000 00000000 0000000000000000 00000000
      00000000 000000000000000c 0000000f 00 00000000 0000000f 2f676f6c64656e2f6d756c74692f74 000000000000000c
      000000000000000c 000001a20832f974 000001a20832f974 00000000 00000000 00000000 0000000000000000 00000000
      00000000 000000000000000c 0000000d 00 00000000 00000005 00 00000000 000000000000000c 000000000000000c
      000001a20832f974 000001a20832f974 00000001 00000003 00000000 0000000000000000 00000002 00000003
      000000000000000c 00000002 00 00000000 ffffffff 01 ffffffff
    `,
    [
      { type: 1, path: "/golden/multi" },
      { type: 1, path: "/golden/multi/2" },
      {
        type: 15,
        path: "/golden/multi/c",
        stat: {
          czxid: 12n, mzxid: 12n, ctime: 1795433888116, mtime: 1795433888116,
          version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n,
          dataLength: 0, numChildren: 0, pzxid: 12n
        }
      },
      {
        type: 15,
        path: "/golden/multi/t",
        stat: {
          czxid: 12n, mzxid: 12n, ctime: 1795433888116, mtime: 1795433888116,
          version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n,
          dataLength: 0, numChildren: 0, pzxid: 12n
        }
      },
      { type: 13 },
      {
        type: 5,
        stat: {
          czxid: 12n, mzxid: 12n, ctime: 1795433888116, mtime: 1795433888116,
          version: 1, cversion: 3, aversion: 0, ephemeralOwner: 0n,
          dataLength: 2, numChildren: 3, pzxid: 12n
        }
      },
      { type: 2 }
    ]
  ),
  golden(
    "multi that fails request",
    operations.multi.request,
    `
      00000005 00 ffffffff 00000007 2f676f6c64656e ffffffff ffffffff 0000000d 00 ffffffff 00000007 2f676f6c64656e
      00000007 00000002 00 ffffffff 0000000c 2f676f6c64656e2f6e756c6c ffffffff ffffffff 01 ffffffff
    `,
    [
      { type: 5, request: { path: "/golden", data: null, version: -1 } },
      { type: 13, request: { path: "/golden", version: 7 } },
      { type: 2, request: { path: "/golden/null", version: -1 } }
    ]
  ),
  golden(
    "multi that fails response",
    operations.multi.response,
    `
      ffffffff 00 00000000 00000000 ffffffff 00 ffffff99 ffffff99 ffffffff 00 fffffffe fffffffe ffffffff 01
      ffffffff
    `,
    [{ type: -1, err: 0 }, { type: -1, err: -103 }, { type: -1, err: -2 }]
  ),
  golden("multi without operations request", operations.multi.request, "ffffffff 01 ffffffff", []),
  golden("multi without operations response", operations.multi.response, "ffffffff 01 ffffffff", []),
  golden(
    "multiRead request",
    operations.multiRead.request,
    `
      00000004 00 ffffffff 00000007 2f676f6c64656e 00 00000008 00 ffffffff 0000000d 2f676f6c64656e2f6d756c7469 00
      00000004 00 ffffffff 0000000f 2f676f6c64656e2f6d697373696e67 00 00000004 00 ffffffff 0000000b
      2f676f6c64656e2f74746c 01 ffffffff 01 ffffffff
    `,
    [
      { type: 4, request: { path: "/golden", watch: false } },
      { type: 8, request: { path: "/golden/multi", watch: false } },
      { type: 4, request: { path: "/golden/missing", watch: false } },
      { type: 4, request: { path: "/golden/ttl", watch: true } }
    ]
  ),
  golden(
    "multiRead response",
    operations.multiRead.response,
    `
      00000004 00 00000000 00000006 776f726c6421 0000000000000004 000000000000000a 000001a20832f93e
      000001a20832f955 00000001 00000006 00000000 0000000000000000 00000006 00000006 000000000000000c 00000008 00
      00000000 00000002 00000001 63 00000001 74 ffffffff 00 ffffff9b ffffff9b 00000004 00 00000000 00000001 78
      0000000000000009 0000000000000009 000001a20832f94d 000001a20832f94d 00000000 00000000 00000000
      0000000000000000 00000001 00000000 0000000000000009 ffffffff 01 ffffffff
    `,
    [
      {
        type: 4,
        data: utf8("world!"),
        stat: {
          czxid: 4n, mzxid: 10n, ctime: 1795433888062, mtime: 1795433888085,
          version: 1, cversion: 6, aversion: 0, ephemeralOwner: 0n,
          dataLength: 6, numChildren: 6, pzxid: 12n
        }
      },
      { type: 8, children: ["c", "t"] },
      { type: -1, err: -101 },
      {
        type: 4,
        data: utf8("x"),
        stat: {
          czxid: 9n, mzxid: 9n, ctime: 1795433888077, mtime: 1795433888077,
          version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n,
          dataLength: 1, numChildren: 0, pzxid: 9n
        }
      }
    ]
  ),
  golden(
    "delete request",
    operations.delete.request,
    "0000000b 2f676f6c64656e2f74746c 00000000",
    { path: "/golden/ttl", version: 0 }
  ),
  golden("delete response", operations.delete.response, "", {}),
  golden("closeSession request", operations.closeSession.request, "", {}),
  golden("closeSession response", operations.closeSession.response, "", {}),
  golden("sasl request", operations.sasl.request, "00000006 6e6f626f6479", { token: utf8("nobody") }),
  golden("sasl response", operations.sasl.response, "ffffffff", { token: null }),
  golden(
    "reconfig request",
    operations.reconfig.request,
    "ffffffff 00000001 31 ffffffff ffffffffffffffff",
    { joiningServers: null, leavingServers: "1", newMembers: null, curConfigId: -1n }
  ),
  golden(
    "reconfig response",
    operations.reconfig.response,
    `
      00000087
      7365727665722e323d3132372e302e302e313a31303838333a31313538393a7061727469636970616e743b3132372e302e302e313a32
      333737390a7365727665722e333d3132372e302e302e313a32353732343a31373832383a7061727469636970616e743b3132372e302e
      302e313a32303531370a76657273696f6e3d313030303030303032 0000000000000000 0000000100000002 0000000000000000
      000001a20832fdb3 ffffffff 00000000 ffffffff 0000000000000000 00000087 00000000 0000000000000000
    `,
    {
      data: utf8(
        "server.2=127.0.0.1:10883:11589:participant;127.0.0.1:23779\n" +
        "server.3=127.0.0.1:25724:17828:participant;127.0.0.1:20517\n" +
        "version=100000002"
      ),
      stat: {
        czxid: 0n, mzxid: 4294967298n, ctime: 0, mtime: 1795433889203,
        version: -1, cversion: 0, aversion: -1, ephemeralOwner: 0n,
        dataLength: 135, numChildren: 0, pzxid: 0n
      }
    }
  ),
  // By hand: no server here speaks SASL. What was captured above is the refusal of one that does not.
  golden("sasl response with a token", operations.sasl.response, "00000003 00ff80", { token: bytes("00ff80") })
]
