// Package manifests judges the ModuleSources of a GitOps repository without a
// cluster: it reads manifests, answers to each ModuleSource as the API server
// would, finds the Secrets and ConfigMaps that it names, and asks the registry
// what the controller would ask, with the controller's own code.
//
// Manifests are another's text: they are read within bounds, and a message says
// where something stands and what was expected, and repeats nothing of a Secret.
package manifests
