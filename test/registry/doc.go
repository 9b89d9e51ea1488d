// Package registry runs real OCI registries on 127.0.0.1, over plain HTTP, in
// this process: for tests, and for the development environment.
//
// There are two kinds, because a client must know how to live with both.
// [Distribution] has no referrers API and answers 404 to it, so that clients
// fall back to a tag. [Referrers] has that API.
//
// Every [Server] writes down the requests that reach it, lets faults be put in
// front of it while it runs ([Server.Intercept]), and can go away and come
// back on the same port ([Server.Down], [Server.Up]).
//
// The package does not import testing, prints nothing, and keeps everything in
// memory: content is lost at Close.
package registry
