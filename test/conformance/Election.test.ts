import { election } from "./election.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(election)
