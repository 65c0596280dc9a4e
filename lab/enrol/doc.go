// Package enrol shows real agents and the real door of core together: routers that
// were imported enrol, report and obey, over the real bus. What stands behind the door
// is a shelf. Its tests are all there is.
package enrol
