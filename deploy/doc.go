// Package deploy holds what an operator installs besides the program: the systemd
// unit, and the files of the Debian and OpenWrt packages, which the script pack in
// this folder makes of them. There is no code here; the tests hold the files to what
// the agent understands.
package deploy
