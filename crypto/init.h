/* crypto/init: `xacthuc init DIR` makes a deployment.
 *
 *   DIR/                     0700
 *     xacthuc.conf           every setting with its default, commented
 *     keys/                  0700: master.keys, ca.key, server.key, audit.key (0600), audit.pub
 *     ca.crt, server.crt
 *     partners/ identity/ live/ audit/
 */
#ifndef XT_CRYPTO_INIT_H
#define XT_CRYPTO_INIT_H

int xt_command_init(int argc, char **argv);

#endif
