/* net/attributes: POST /v1/attributes and /v1/consents/...: how large their answers may be. Internal to net/. */
#ifndef XT_NET_ATTRIBUTES_H
#define XT_NET_ATTRIBUTES_H

#include "core/attribute.h"
#include "store/live_account.h"

/* Bytes. They are written into the memory that requests are parsed in, which is larger. */
#define XT_ATTRIBUTES_ANSWER_MAX (XT_ATTRIBUTES_JSON_MAX + 256)
/* Each of a person's consents: two names of at most 64, the names of all attributes, three times. */
#define XT_CONSENT_JSON_MAX                                                                        \
    (XT_PARTNER_NAME_MAX + XT_PURPOSE_NAME_MAX + XT_ATTRIBUTE_NAMES_MAX + 256)
#define XT_CONSENTS_ANSWER_MAX (XT_LIVE_CONSENTS_MAX * XT_CONSENT_JSON_MAX + 128)

#endif
