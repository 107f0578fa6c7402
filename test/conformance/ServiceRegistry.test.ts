import { onEveryServer } from "./servers.ts"
import { serviceRegistry } from "./serviceRegistry.ts"

onEveryServer(serviceRegistry)
