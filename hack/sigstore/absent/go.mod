// Stands in for a module that only a test of Fulcio's imports, which tidying
// looks at and nothing here runs: not every module proxy serves it.
module chainguard.dev/sdk

go 1.26.0
