// Package uidp is empty: see go.mod.
package uidp
