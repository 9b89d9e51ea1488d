// Package verify decides whether an OCI digest is signed by whom a policy
// trusts. It is pure: it takes the policy, the digest and the signatures as
// untrusted bytes, and answers with a [Verified] or a [Refusal].
//
// It has no context, no clock, no network, no file system and no Kubernetes.
// imports_test.go holds its imports to that.
package verify
