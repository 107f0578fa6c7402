/**
 * A ZooKeeper client for Effect.
 *
 * @since 0.1.0
 */
export * as Acl from "./Acl.ts"
export * as ConnectionString from "./ConnectionString.ts"
export * as EnsembleConfig from "./EnsembleConfig.ts"
export * as Grant from "./recipe/Grant.ts"
export * as Lock from "./recipe/Lock.ts"
export * as RetryPolicy from "./RetryPolicy.ts"
export * as Sasl from "./Sasl.ts"
export * as ServerFacts from "./ServerFacts.ts"
export * as SessionState from "./SessionState.ts"
export * as Tls from "./Tls.ts"
export * as Transaction from "./Transaction.ts"
export * as WatchEvent from "./WatchEvent.ts"
export * as Znode from "./Znode.ts"
export * as ZnodePath from "./ZnodePath.ts"
export * as ZooKeeper from "./ZooKeeper.ts"
export * as ZooKeeperConfig from "./ZooKeeperConfig.ts"
export * as ZooKeeperError from "./ZooKeeperError.ts"
export * as ZooKeeperMetrics from "./ZooKeeperMetrics.ts"
