import { lock } from "./lock.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(lock)
