// SPDX-License-Identifier: MIT
// What Debian's libzmq.a refers to for transports and a security mechanism that workpool has no use for:
// OpenPGM, NORM and GSSAPI. Shared, they bring twelve libraries, which every process would load at its start.
//
// libzmq starts and ends OpenPGM with the first and the last context, so those two succeed. It calls the
// others only for an address of pgm://, epgm:// or norm://, or for a socket with a GSSAPI option. A peer
// cannot choose either. Those others are never called, so their parameters are left out.
#include <cstdlib>

// NOLINTBEGIN: the names are theirs.
extern "C" {

int pgm_init() { return 1; }
int pgm_shutdown() { return 1; }

#define WORKPOOL_UNUSED(name) \
  void name() { std::abort(); }
WORKPOOL_UNUSED(NormCreateInstance)
WORKPOOL_UNUSED(NormCreateSession)
WORKPOOL_UNUSED(NormDestroyInstance)
WORKPOOL_UNUSED(NormDestroySession)
WORKPOOL_UNUSED(NormGetDescriptor)
WORKPOOL_UNUSED(NormGetNextEvent)
WORKPOOL_UNUSED(NormGetRandomSessionId)
WORKPOOL_UNUSED(NormIsUnicastAddress)
WORKPOOL_UNUSED(NormNodeDelete)
WORKPOOL_UNUSED(NormObjectGetType)
WORKPOOL_UNUSED(NormObjectGetUserData)
WORKPOOL_UNUSED(NormObjectSetUserData)
WORKPOOL_UNUSED(NormSetCongestionControl)
WORKPOOL_UNUSED(NormSetDefaultSyncPolicy)
WORKPOOL_UNUSED(NormSetDefaultUnicastNack)
WORKPOOL_UNUSED(NormSetLoopback)
WORKPOOL_UNUSED(NormSetMulticastInterface)
WORKPOOL_UNUSED(NormSetRxPortReuse)
WORKPOOL_UNUSED(NormSetTTL)
WORKPOOL_UNUSED(NormStartReceiver)
WORKPOOL_UNUSED(NormStartSender)
WORKPOOL_UNUSED(NormStopInstance)
WORKPOOL_UNUSED(NormStopReceiver)
WORKPOOL_UNUSED(NormStopSender)
WORKPOOL_UNUSED(NormStreamFlush)
WORKPOOL_UNUSED(NormStreamOpen)
WORKPOOL_UNUSED(NormStreamRead)
WORKPOOL_UNUSED(NormStreamSeekMsgStart)
WORKPOOL_UNUSED(NormStreamWrite)
WORKPOOL_UNUSED(gss_accept_sec_context)
WORKPOOL_UNUSED(gss_acquire_cred)
WORKPOOL_UNUSED(gss_delete_sec_context)
WORKPOOL_UNUSED(gss_display_name)
WORKPOOL_UNUSED(gss_import_name)
WORKPOOL_UNUSED(gss_init_sec_context)
WORKPOOL_UNUSED(gss_release_buffer)
WORKPOOL_UNUSED(gss_release_cred)
WORKPOOL_UNUSED(gss_release_name)
WORKPOOL_UNUSED(gss_unwrap)
WORKPOOL_UNUSED(gss_wrap)
WORKPOOL_UNUSED(pgm_bind3)
WORKPOOL_UNUSED(pgm_close)
WORKPOOL_UNUSED(pgm_connect)
WORKPOOL_UNUSED(pgm_error_free)
WORKPOOL_UNUSED(pgm_free)
WORKPOOL_UNUSED(pgm_freeaddrinfo)
WORKPOOL_UNUSED(pgm_getaddrinfo)
WORKPOOL_UNUSED(pgm_getsockopt)
WORKPOOL_UNUSED(pgm_gsi_create_from_data)
WORKPOOL_UNUSED(pgm_recvmsgv)
WORKPOOL_UNUSED(pgm_send)
WORKPOOL_UNUSED(pgm_setsockopt)
WORKPOOL_UNUSED(pgm_socket)
#undef WORKPOOL_UNUSED

extern void* const GSS_C_NT_HOSTBASED_SERVICE;
void* const GSS_C_NT_HOSTBASED_SERVICE = nullptr;
extern void* const GSS_C_NT_USER_NAME;
void* const GSS_C_NT_USER_NAME = nullptr;
extern void* const NORM_INSTANCE_INVALID;
void* const NORM_INSTANCE_INVALID = nullptr;
extern void* const NORM_NODE_ANY;
void* const NORM_NODE_ANY = nullptr;
extern void* const NORM_OBJECT_INVALID;
void* const NORM_OBJECT_INVALID = nullptr;
extern void* const NORM_SESSION_INVALID;
void* const NORM_SESSION_INVALID = nullptr;

}  // extern "C"
// NOLINTEND
