// Package source is the way from a repository and a policy to a published
// artifact: resolve, signatures, verify, fetch, publish. The order of the steps
// lives here and nowhere else, and so does the one typed error that carries a
// failure out of any of them.
package source
