//! Replies that several requests share.

use fuser::{ReplyEmpty, ReplyXattr};

use super::convert::errno;
use crate::vfs::Errno;

/// Answers an attribute's value in the way of `getxattr(2)`: its size where none is given.
pub(super) fn answer_xattr(reply: ReplyXattr, value: Result<Vec<u8>, Errno>, size: u32) {
    match value {
        Err(why) => reply.error(errno(why)),
        Ok(value) => match u32::try_from(value.len()) {
            Ok(length) if size == 0 => reply.size(length),
            Ok(length) if length <= size => reply.data(&value),
            _ => reply.error(errno(Errno::ERANGE)),
        },
    }
}

pub(super) fn answer_empty(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(why) => reply.error(errno(why)),
    }
}
