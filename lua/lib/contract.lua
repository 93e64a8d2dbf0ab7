-- contract: which contract these scripts keep: see "The contract's number" in lua/README.md. A node is of one, and lets in those who keep the same.
local contract = '2'
