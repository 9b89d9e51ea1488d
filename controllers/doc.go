// Package controllers is Assay's only Kubernetes client: it reads ModuleSources
// and what they name, turns them into plain data for internal/source, and
// reports the outcome as status, events and metrics.
package controllers
