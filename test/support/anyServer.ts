/**
 * Tests that need a server, and not to start, stop or kill it: they run on the real one and, as vitest's project
 * `memory`, on the in-memory one over TCP. What runs on one of them only, and why, is in test/README.md;
 * test/Documentation.test.ts sees to it that every file is here or there.
 */
export const onAnyServer: ReadonlyArray<string> = [
  "test/client/{Connection,FourLetterWord,Hosts,ReadOnly,SaslMechanism,Session}.test.ts",
  "test/conformance/!(Ensemble|Memory).test.ts",
  "test/recipe/{EveryRequestOfLock,KazooLocks,KazooQueues}.test.ts",
  "test/support/Proxy.test.ts",
  "test/{Examples,ZooKeeperConfig}.test.ts"
]
