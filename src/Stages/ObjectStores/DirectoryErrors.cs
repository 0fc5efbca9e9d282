namespace ZeroFlow.Stages.ObjectStores;

/// <summary>The one place where errors of a file system become <see cref="ObjectStoreException"/>s.</summary>
internal static class DirectoryErrors
{
    private const int PermissionDenied = 13;
    private const int NotPermitted = 1;
    private const int NotADirectory = 20;
    private const int IsADirectory = 21;
    private const int FileTooLarge = 27;
    private const int NoSpace = 28;
    private const int ReadOnlyFileSystem = 30;
    private const int NameTooLong = 36;
    private const int NotSupported = 95;
    private const int QuotaExceeded = 122;

    /// <summary>Says what <paramref name="error"/> means for the object <paramref name="key"/>.</summary>
    public static ObjectStoreException Classify(
        Exception error, string verb, string key, string location, bool rootExists)
    {
        ObjectStoreErrorKind kind = KindOf(error, rootExists);
        string reason = kind switch
        {
            ObjectStoreErrorKind.Full => "no space is left",
            ObjectStoreErrorKind.Denied => "permission is denied or the file system is read-only",
            ObjectStoreErrorKind.StoreMissing => "the directory of the store is gone",
            ObjectStoreErrorKind.ObjectMissing => "there is no such object",
            _ => error.Message,
        };
        return new ObjectStoreException(kind, $"Could not {verb} '{key}' in {location}: {reason}.", error);
    }

    /// <summary>The kind of a file system error.</summary>
    public static ObjectStoreErrorKind KindOf(Exception error, bool rootExists)
    {
        switch (error)
        {
            case FileNotFoundException or DirectoryNotFoundException:
                return rootExists ? ObjectStoreErrorKind.ObjectMissing : ObjectStoreErrorKind.StoreMissing;
            case UnauthorizedAccessException:
                return ObjectStoreErrorKind.Denied;
            case PathTooLongException:
                return ObjectStoreErrorKind.Invalid;
        }

        return error.HResult switch
        {
            NoSpace or QuotaExceeded => ObjectStoreErrorKind.Full,
            PermissionDenied or NotPermitted or ReadOnlyFileSystem => ObjectStoreErrorKind.Denied,
            NotADirectory or IsADirectory or FileTooLarge or NameTooLong or NotSupported =>
                ObjectStoreErrorKind.Invalid,
            PosixFiles.NoEntry when !rootExists => ObjectStoreErrorKind.StoreMissing,
            _ => ObjectStoreErrorKind.Transient,
        };
    }
}
