// JSON of messages, made from protos/ by scripts/generate-protos; do not edit.

/** A 64-bit integer; lib/numbers.ts reads it. */
export type Int64 = string;
/** RFC 3339; lib/time.ts reads it. */
export type Timestamp = string;
/** Seconds, such as "1.5s"; lib/time.ts reads it. */
export type Duration = string;
/** Bytes in base64. */
export type Base64 = string;

export namespace admin {
  export interface ClusterInfo {
    id: string;
    deploymentId: string;
    warningsOk: boolean;
    warnings: string[];
    proxyHost: string;
    proxyTls: boolean;
    paused: boolean;
    webResources: admin.WebResource | null;
    metadata: Record<string, string>;
    pendingRestart: boolean;
    restartInfo: string;
  }
  export interface InspectClusterRequest {
    clientVersion: versionpb.Version | null;
    currentProject: pfs.Project | null;
  }
  export interface RestartPachydermRequest {
    reason: string;
  }
  export interface RestartPachydermResponse {
  }
  export interface WebResource {
    archiveDownloadBaseUrl: string;
    createPipelineRequestJsonSchemaUrl: string;
  }
}

export namespace auth {
  export type Permission = "PERMISSION_UNKNOWN" | "CLUSTER_MODIFY_BINDINGS" | "CLUSTER_GET_BINDINGS" | "CLUSTER_GET_PACHD_LOGS" | "CLUSTER_GET_LOKI_LOGS" | "CLUSTER_AUTH_ACTIVATE" | "CLUSTER_AUTH_DEACTIVATE" | "CLUSTER_AUTH_GET_CONFIG" | "CLUSTER_AUTH_SET_CONFIG" | "CLUSTER_AUTH_GET_ROBOT_TOKEN" | "CLUSTER_AUTH_MODIFY_GROUP_MEMBERS" | "CLUSTER_AUTH_GET_GROUPS" | "CLUSTER_AUTH_GET_GROUP_USERS" | "CLUSTER_AUTH_EXTRACT_TOKENS" | "CLUSTER_AUTH_RESTORE_TOKEN" | "CLUSTER_AUTH_GET_PERMISSIONS_FOR_PRINCIPAL" | "CLUSTER_AUTH_DELETE_EXPIRED_TOKENS" | "CLUSTER_AUTH_REVOKE_USER_TOKENS" | "CLUSTER_AUTH_ROTATE_ROOT_TOKEN" | "CLUSTER_ENTERPRISE_ACTIVATE" | "CLUSTER_ENTERPRISE_HEARTBEAT" | "CLUSTER_ENTERPRISE_GET_CODE" | "CLUSTER_ENTERPRISE_DEACTIVATE" | "CLUSTER_ENTERPRISE_PAUSE" | "CLUSTER_IDENTITY_SET_CONFIG" | "CLUSTER_IDENTITY_GET_CONFIG" | "CLUSTER_IDENTITY_CREATE_IDP" | "CLUSTER_IDENTITY_UPDATE_IDP" | "CLUSTER_IDENTITY_LIST_IDPS" | "CLUSTER_IDENTITY_GET_IDP" | "CLUSTER_IDENTITY_DELETE_IDP" | "CLUSTER_IDENTITY_CREATE_OIDC_CLIENT" | "CLUSTER_IDENTITY_UPDATE_OIDC_CLIENT" | "CLUSTER_IDENTITY_LIST_OIDC_CLIENTS" | "CLUSTER_IDENTITY_GET_OIDC_CLIENT" | "CLUSTER_IDENTITY_DELETE_OIDC_CLIENT" | "CLUSTER_DEBUG_DUMP" | "CLUSTER_LICENSE_ACTIVATE" | "CLUSTER_LICENSE_GET_CODE" | "CLUSTER_LICENSE_ADD_CLUSTER" | "CLUSTER_LICENSE_UPDATE_CLUSTER" | "CLUSTER_LICENSE_DELETE_CLUSTER" | "CLUSTER_LICENSE_LIST_CLUSTERS" | "CLUSTER_CREATE_SECRET" | "CLUSTER_LIST_SECRETS" | "SECRET_DELETE" | "SECRET_INSPECT" | "CLUSTER_EDIT_CLUSTER_METADATA" | "CLUSTER_DELETE_ALL" | "CLUSTER_SNAPSHOTTER" | "CLUSTER_RESTART_PACHYDERM" | "REPO_READ" | "REPO_WRITE" | "REPO_MODIFY_BINDINGS" | "REPO_DELETE" | "REPO_INSPECT_COMMIT" | "REPO_LIST_COMMIT" | "REPO_DELETE_COMMIT" | "REPO_CREATE_BRANCH" | "REPO_LIST_BRANCH" | "REPO_DELETE_BRANCH" | "REPO_INSPECT_FILE" | "REPO_LIST_FILE" | "REPO_ADD_PIPELINE_READER" | "REPO_REMOVE_PIPELINE_READER" | "REPO_ADD_PIPELINE_WRITER" | "PIPELINE_LIST_JOB" | "CLUSTER_SET_DEFAULTS" | "PROJECT_SET_DEFAULTS" | "PROJECT_CREATE" | "PROJECT_DELETE" | "PROJECT_LIST_REPO" | "PROJECT_CREATE_REPO" | "PROJECT_MODIFY_BINDINGS" | "JOB_SKIP_CTX";
}

export namespace metadata {
  export interface ClusterPicker {
  }
  export interface Edit {
    project?: pfs.ProjectPicker;
    commit?: pfs.CommitPicker;
    branch?: pfs.BranchPicker;
    repo?: pfs.RepoPicker;
    cluster?: metadata.ClusterPicker;
    pipeline?: pps.PipelinePicker;
    replace?: metadata.Edit_Replace;
    addKey?: metadata.Edit_AddKey;
    editKey?: metadata.Edit_EditKey;
    deleteKey?: metadata.Edit_DeleteKey;
  }
  export interface Edit_AddKey {
    key: string;
    value: string;
  }
  export interface Edit_DeleteKey {
    key: string;
  }
  export interface Edit_EditKey {
    key: string;
    value: string;
  }
  export interface Edit_Replace {
    replacement: Record<string, string>;
  }
  export interface EditMetadataRequest {
    edits: metadata.Edit[];
  }
  export interface EditMetadataResponse {
  }
}

export namespace pfs {
  export type CommitState = "COMMIT_STATE_UNKNOWN" | "STARTED" | "READY" | "FINISHING" | "FINISHED";
  export type FileType = "RESERVED" | "FILE" | "DIR";
  export type OriginKind = "ORIGIN_KIND_UNKNOWN" | "USER" | "AUTO" | "FSCK";
  export interface ActivateAuthRequest {
  }
  export interface ActivateAuthResponse {
  }
  export interface AddFile {
    path: string;
    datum: string;
    raw?: Base64;
    url?: pfs.AddFile_UrlSource;
  }
  export interface AddFile_UrlSource {
    url: string;
    recursive: boolean;
    concurrency: number;
  }
  export interface AddFileSetRequest {
    commit: pfs.Commit | null;
    fileSetId: string;
  }
  export interface AuthInfo {
    permissions: auth.Permission[];
    roles: string[];
  }
  export interface Branch {
    repo: pfs.Repo | null;
    name: string;
  }
  export interface BranchInfo {
    branch: pfs.Branch | null;
    head: pfs.Commit | null;
    provenance: pfs.Branch[];
    subvenance: pfs.Branch[];
    directProvenance: pfs.Branch[];
    trigger: pfs.Trigger | null;
    metadata: Record<string, string>;
    createdBy: string;
    createdAt: Timestamp | null;
    updatedAt: Timestamp | null;
    branchPropagationSpecs: pfs.BranchPropagationSpec[];
  }
  export interface BranchPicker {
    name?: pfs.BranchPicker_BranchName;
  }
  export interface BranchPicker_BranchName {
    repo: pfs.RepoPicker | null;
    name: string;
  }
  export interface BranchPropagationSpec {
    branch: pfs.Branch | null;
    propagationSpec: pfs.PropagationSpec | null;
  }
  export interface CheckStorageRequest {
    readChunkData: boolean;
    chunkBegin: Base64;
    chunkEnd: Base64;
  }
  export interface CheckStorageResponse {
    chunkObjectCount: Int64;
  }
  export interface ClearCacheRequest {
    tagPrefix: string;
  }
  export interface ClearCommitRequest {
    commit: pfs.Commit | null;
  }
  export interface Commit {
    repo: pfs.Repo | null;
    id: string;
    branch: pfs.Branch | null;
  }
  export interface CommitInfo {
    commit: pfs.Commit | null;
    origin: pfs.CommitOrigin | null;
    description: string;
    parentCommit: pfs.Commit | null;
    childCommits: pfs.Commit[];
    started: Timestamp | null;
    finishing: Timestamp | null;
    finished: Timestamp | null;
    directProvenance: pfs.Commit[];
    directSubvenance: pfs.Commit[];
    error: string;
    sizeBytesUpperBound: Int64;
    details: pfs.CommitInfo_Details | null;
    metadata: Record<string, string>;
    createdBy: string;
    createdAt: Timestamp | null;
    updatedAt: Timestamp | null;
  }
  export interface CommitInfo_Details {
    sizeBytes: Int64;
    compactingTime: Duration | null;
    validatingTime: Duration | null;
  }
  export interface CommitOrigin {
    kind: pfs.OriginKind;
  }
  export interface CommitPicker {
    branchHead?: pfs.BranchPicker;
    id?: pfs.CommitPicker_CommitByGlobalId;
    ancestor?: pfs.CommitPicker_AncestorOf;
    branchRoot?: pfs.CommitPicker_BranchRoot;
  }
  export interface CommitPicker_AncestorOf {
    offset: number;
    start: pfs.CommitPicker | null;
  }
  export interface CommitPicker_BranchRoot {
    offset: number;
    branch: pfs.BranchPicker | null;
  }
  export interface CommitPicker_CommitByGlobalId {
    repo: pfs.RepoPicker | null;
    id: string;
  }
  export interface CommitSet {
    id: string;
  }
  export interface CommitSetInfo {
    commitSet: pfs.CommitSet | null;
    commits: pfs.CommitInfo[];
  }
  export interface ComposeFileSetRequest {
    fileSetIds: string[];
    ttlSeconds: Int64;
    compact: boolean;
  }
  export interface CopyFile {
    dst: string;
    datum: string;
    src: pfs.File | null;
    append: boolean;
  }
  export interface CreateBranchRequest {
    head: pfs.Commit | null;
    branch: pfs.Branch | null;
    provenance: pfs.Branch[];
    trigger: pfs.Trigger | null;
    newCommitSet: boolean;
    branchPropagationSpecs: pfs.BranchPropagationSpec[];
  }
  export interface CreateFileSetResponse {
    fileSetId: string;
  }
  export interface CreateProjectRequest {
    project: pfs.Project | null;
    description: string;
    update: boolean;
  }
  export interface CreateRepoRequest {
    repo: pfs.Repo | null;
    description: string;
    update: boolean;
  }
  export interface DeleteBranchRequest {
    branch: pfs.Branch | null;
    force: boolean;
  }
  export interface DeleteFile {
    path: string;
    datum: string;
  }
  export interface DeleteProjectRequest {
    project: pfs.Project | null;
    force: boolean;
  }
  export interface DeleteRepoRequest {
    repo: pfs.Repo | null;
    force: boolean;
  }
  export interface DeleteRepoResponse {
    deleted: boolean;
  }
  export interface DeleteReposRequest {
    projects: pfs.Project[];
    force: boolean;
    all: boolean;
  }
  export interface DeleteReposResponse {
    repos: pfs.Repo[];
  }
  export interface DiffFileRequest {
    newFile: pfs.File | null;
    oldFile: pfs.File | null;
    shallow: boolean;
  }
  export interface DiffFileResponse {
    newFile: pfs.FileInfo | null;
    oldFile: pfs.FileInfo | null;
  }
  export interface DropCommitRequest {
    commit: pfs.Commit | null;
    recursive: boolean;
  }
  export interface DropCommitResponse {
  }
  export interface DropCommitSetRequest {
    commitSet: pfs.CommitSet | null;
  }
  export interface EgressRequest {
    commit: pfs.Commit | null;
    objectStorage?: pfs.ObjectStorageEgress;
    sqlDatabase?: pfs.SqlDatabaseEgress;
  }
  export interface EgressResponse {
    objectStorage?: pfs.EgressResponse_ObjectStorageResult;
    sqlDatabase?: pfs.EgressResponse_SqlDatabaseResult;
  }
  export interface EgressResponse_ObjectStorageResult {
    bytesWritten: Int64;
  }
  export interface EgressResponse_SqlDatabaseResult {
    rowsWritten: Record<string, Int64>;
  }
  export interface File {
    commit: pfs.Commit | null;
    path: string;
    datum: string;
  }
  export interface FileInfo {
    file: pfs.File | null;
    fileType: pfs.FileType;
    committed: Timestamp | null;
    sizeBytes: Int64;
    hash: Base64;
  }
  export interface FindCommitsRequest {
    start: pfs.Commit | null;
    filePath: string;
    limit: number;
  }
  export interface FindCommitsResponse {
    foundCommit?: pfs.Commit;
    lastSearchedCommit?: pfs.Commit;
    commitsSearched: number;
  }
  export interface FinishCommitRequest {
    commit: pfs.Commit | null;
    description: string;
    error: string;
    force: boolean;
  }
  export interface ForgetCommitRequest {
    commit: pfs.CommitPicker | null;
  }
  export interface ForgetCommitResponse {
  }
  export interface FsckRequest {
    fix: boolean;
    zombieTarget?: pfs.Commit;
    zombieAll?: boolean;
  }
  export interface FsckResponse {
    fix: string;
    error: string;
  }
  export interface GetCacheRequest {
    key: string;
  }
  export interface GetCacheResponse {
    value: { '@type': string; [field: string]: unknown } | null;
  }
  export interface GetFileRequest {
    file: pfs.File | null;
    url: string;
    offset: Int64;
    pathRange: pfs.PathRange | null;
  }
  export interface GetFileSetRequest {
    commit: pfs.Commit | null;
    type: pfs.GetFileSetRequest_FileSetType;
  }
  export type GetFileSetRequest_FileSetType = "TOTAL" | "DIFF";
  export interface GlobFileRequest {
    commit: pfs.Commit | null;
    pattern: string;
    pathRange: pfs.PathRange | null;
  }
  export interface InspectBranchRequest {
    branch: pfs.Branch | null;
  }
  export interface InspectCommitRequest {
    commit: pfs.Commit | null;
    wait: pfs.CommitState;
  }
  export interface InspectCommitSetRequest {
    commitSet: pfs.CommitSet | null;
    wait: boolean;
  }
  export interface InspectFileRequest {
    file: pfs.File | null;
  }
  export interface InspectProjectRequest {
    project: pfs.Project | null;
  }
  export interface InspectProjectV2Request {
    project: pfs.Project | null;
  }
  export interface InspectProjectV2Response {
    info: pfs.ProjectInfo | null;
    defaultsJson: string;
  }
  export interface InspectRepoRequest {
    repo: pfs.Repo | null;
  }
  export interface ListBranchRequest {
    repo: pfs.Repo | null;
    reverse: boolean;
  }
  export interface ListCommitRequest {
    repo: pfs.Repo | null;
    from: pfs.Commit | null;
    to: pfs.Commit | null;
    number: Int64;
    reverse: boolean;
    all: boolean;
    originKind: pfs.OriginKind;
    startedTime: Timestamp | null;
  }
  export interface ListCommitSetRequest {
    project: pfs.Project | null;
  }
  export interface ListFileRequest {
    file: pfs.File | null;
    paginationMarker: pfs.File | null;
    number: Int64;
    reverse: boolean;
  }
  export interface ListProjectRequest {
  }
  export interface ListRepoRequest {
    type: string;
    projects: pfs.Project[];
    page: pfs.RepoPage | null;
  }
  export interface ModifyFileRequest {
    setCommit?: pfs.Commit;
    addFile?: pfs.AddFile;
    deleteFile?: pfs.DeleteFile;
    copyFile?: pfs.CopyFile;
  }
  export interface ObjectStorageEgress {
    url: string;
  }
  export interface PathRange {
    lower: string;
    upper: string;
  }
  export interface Project {
    name: string;
  }
  export interface ProjectInfo {
    project: pfs.Project | null;
    description: string;
    authInfo: pfs.AuthInfo | null;
    createdAt: Timestamp | null;
    metadata: Record<string, string>;
    createdBy: string;
  }
  export interface ProjectPicker {
    name?: string;
  }
  export interface PropagationSpec {
    never: boolean;
  }
  export interface PutCacheRequest {
    key: string;
    value: { '@type': string; [field: string]: unknown } | null;
    fileSetIds: string[];
    tag: string;
  }
  export interface RenewFileSetRequest {
    fileSetId: string;
    ttlSeconds: Int64;
  }
  export interface Repo {
    name: string;
    type: string;
    project: pfs.Project | null;
  }
  export interface RepoInfo {
    repo: pfs.Repo | null;
    created: Timestamp | null;
    sizeBytesUpperBound: Int64;
    description: string;
    branches: pfs.Branch[];
    authInfo: pfs.AuthInfo | null;
    details: pfs.RepoInfo_Details | null;
    metadata: Record<string, string>;
  }
  export interface RepoInfo_Details {
    sizeBytes: Int64;
  }
  export interface RepoPage {
    order: pfs.RepoPage_Ordering;
    pageSize: Int64;
    pageIndex: Int64;
  }
  export type RepoPage_Ordering = "PROJECT_REPO";
  export interface RepoPicker {
    name?: pfs.RepoPicker_RepoName;
  }
  export interface RepoPicker_RepoName {
    project: pfs.ProjectPicker | null;
    name: string;
    type: string;
  }
  export interface ReposSummary {
    project: pfs.Project | null;
    userRepoCount: Int64;
    sizeBytes: Int64;
  }
  export interface ReposSummaryRequest {
    projects: pfs.ProjectPicker[];
  }
  export interface ReposSummaryResponse {
    summaries: pfs.ReposSummary[];
  }
  export interface ShardFileSetRequest {
    fileSetId: string;
    numFiles: Int64;
    sizeBytes: Int64;
  }
  export interface ShardFileSetResponse {
    shards: pfs.PathRange[];
  }
  export interface SqlDatabaseEgress {
    url: string;
    fileFormat: pfs.SqlDatabaseEgress_FileFormat | null;
    secret: pfs.SqlDatabaseEgress_Secret | null;
  }
  export interface SqlDatabaseEgress_FileFormat {
    type: pfs.SqlDatabaseEgress_FileFormat_Type;
    columns: string[];
  }
  export type SqlDatabaseEgress_FileFormat_Type = "UNKNOWN" | "CSV" | "JSON" | "PARQUET";
  export interface SqlDatabaseEgress_Secret {
    name: string;
    key: string;
  }
  export interface SquashCommitRequest {
    commit: pfs.Commit | null;
    recursive: boolean;
  }
  export interface SquashCommitResponse {
  }
  export interface SquashCommitSetRequest {
    commitSet: pfs.CommitSet | null;
  }
  export interface StartCommitRequest {
    parent: pfs.Commit | null;
    description: string;
    branch: pfs.Branch | null;
  }
  export interface SubscribeCommitRequest {
    repo: pfs.Repo | null;
    branch: string;
    from: pfs.Commit | null;
    state: pfs.CommitState;
    all: boolean;
    originKind: pfs.OriginKind;
  }
  export interface Trigger {
    branch: string;
    all: boolean;
    rateLimitSpec: string;
    size: string;
    commits: Int64;
    cronSpec: string;
  }
  export interface WalkBranchProvenanceRequest {
    start: pfs.BranchPicker[];
    maxBranches: Int64;
    maxDepth: Int64;
  }
  export interface WalkBranchSubvenanceRequest {
    start: pfs.BranchPicker[];
    maxBranches: Int64;
    maxDepth: Int64;
  }
  export interface WalkCommitProvenanceRequest {
    start: pfs.CommitPicker[];
    maxCommits: Int64;
    maxDepth: Int64;
  }
  export interface WalkCommitSubvenanceRequest {
    start: pfs.CommitPicker[];
    maxCommits: Int64;
    maxDepth: Int64;
  }
  export interface WalkFileRequest {
    file: pfs.File | null;
    paginationMarker: pfs.File | null;
    number: Int64;
    reverse: boolean;
  }
}

export namespace pps {
  export type DatumState = "UNKNOWN" | "FAILED" | "SUCCESS" | "SKIPPED" | "STARTING" | "RECOVERED";
  export type JobState = "JOB_STATE_UNKNOWN" | "JOB_CREATED" | "JOB_STARTING" | "JOB_RUNNING" | "JOB_FAILURE" | "JOB_SUCCESS" | "JOB_KILLED" | "JOB_EGRESSING" | "JOB_FINISHING" | "JOB_UNRUNNABLE";
  export type PipelineState = "PIPELINE_STATE_UNKNOWN" | "PIPELINE_STARTING" | "PIPELINE_RUNNING" | "PIPELINE_RESTARTING" | "PIPELINE_FAILURE" | "PIPELINE_PAUSED" | "PIPELINE_STANDBY" | "PIPELINE_CRASHING";
  export type TaintEffect = "ALL_EFFECTS" | "NO_SCHEDULE" | "PREFER_NO_SCHEDULE" | "NO_EXECUTE";
  export type TolerationOperator = "EMPTY" | "EXISTS" | "EQUAL";
  export interface ActivateAuthRequest {
  }
  export interface ActivateAuthResponse {
  }
  export interface CheckStatusRequest {
    all?: boolean;
    project?: pfs.Project;
  }
  export interface CheckStatusResponse {
    project: pfs.Project | null;
    pipeline: pps.Pipeline | null;
    alerts: string[];
  }
  export interface ContinueCreateDatumRequest {
    number: number;
  }
  export interface CreateDatumRequest {
    start?: pps.StartCreateDatumRequest;
    continue?: pps.ContinueCreateDatumRequest;
  }
  export interface CreatePipelineRequest {
    pipeline: pps.Pipeline | null;
    tfJob: pps.TfJob | null;
    transform: pps.Transform | null;
    parallelismSpec: pps.ParallelismSpec | null;
    egress: pps.Egress | null;
    update: boolean;
    outputBranch: string;
    s3Out: boolean;
    resourceRequests: pps.ResourceSpec | null;
    resourceLimits: pps.ResourceSpec | null;
    sidecarResourceLimits: pps.ResourceSpec | null;
    input: pps.Input | null;
    description: string;
    reprocess: boolean;
    service: pps.Service | null;
    spout: pps.Spout | null;
    datumSetSpec: pps.DatumSetSpec | null;
    datumTimeout: Duration | null;
    jobTimeout: Duration | null;
    salt: string;
    datumTries: Int64;
    schedulingSpec: pps.SchedulingSpec | null;
    podSpec: string;
    podPatch: string;
    specCommit: pfs.Commit | null;
    metadata: pps.Metadata | null;
    reprocessSpec: string;
    autoscaling: boolean;
    tolerations: pps.Toleration[];
    sidecarResourceRequests: pps.ResourceSpec | null;
    dryRun: boolean;
    determined: pps.Determined | null;
    maximumExpectedUptime: Duration | null;
  }
  export interface CreatePipelineV2Request {
    createPipelineRequestJson: string;
    dryRun: boolean;
    update: boolean;
    reprocess: boolean;
  }
  export interface CreatePipelineV2Response {
    effectiveCreatePipelineRequestJson: string;
  }
  export interface CreateSecretRequest {
    file: Base64;
  }
  export interface CronInput {
    name: string;
    project: string;
    repo: string;
    commit: string;
    spec: string;
    overwrite: boolean;
    start: Timestamp | null;
  }
  export interface Datum {
    job: pps.Job | null;
    id: string;
  }
  export interface DatumInfo {
    datum: pps.Datum | null;
    state: pps.DatumState;
    stats: pps.ProcessStats | null;
    pfsState: pfs.File | null;
    data: pfs.FileInfo[];
    imageId: string;
  }
  export interface DatumSetSpec {
    number: Int64;
    sizeBytes: Int64;
    perWorker: Int64;
  }
  export interface DatumStatus {
    started: Timestamp | null;
    data: pps.InputFile[];
  }
  export interface DeleteJobRequest {
    job: pps.Job | null;
  }
  export interface DeletePipelineRequest {
    pipeline: pps.Pipeline | null;
    all: boolean;
    force: boolean;
    keepRepo: boolean;
    mustExist: boolean;
  }
  export interface DeletePipelinesRequest {
    projects: pfs.Project[];
    force: boolean;
    keepRepo: boolean;
    all: boolean;
  }
  export interface DeletePipelinesResponse {
    pipelines: pps.Pipeline[];
  }
  export interface DeleteSecretRequest {
    secret: pps.Secret | null;
  }
  export interface Determined {
    workspaces: string[];
  }
  export interface Egress {
    URL: string;
    objectStorage?: pfs.ObjectStorageEgress;
    sqlDatabase?: pfs.SqlDatabaseEgress;
  }
  export interface GetClusterDefaultsRequest {
  }
  export interface GetClusterDefaultsResponse {
    clusterDefaultsJson: string;
  }
  export interface GetLogsRequest {
    pipeline: pps.Pipeline | null;
    job: pps.Job | null;
    dataFilters: string[];
    datum: pps.Datum | null;
    master: boolean;
    follow: boolean;
    tail: Int64;
    useLokiBackend: boolean;
    since: Duration | null;
  }
  export interface GetProjectDefaultsRequest {
    project: pfs.Project | null;
  }
  export interface GetProjectDefaultsResponse {
    projectDefaultsJson: string;
    createdBy: string;
    createdAt: Timestamp | null;
  }
  export interface GpuSpec {
    type: string;
    number: Int64;
  }
  export interface Input {
    pfs: pps.PfsInput | null;
    join: pps.Input[];
    group: pps.Input[];
    cross: pps.Input[];
    union: pps.Input[];
    cron: pps.CronInput | null;
  }
  export interface InputFile {
    path: string;
    hash: Base64;
  }
  export interface InspectDatumRequest {
    datum: pps.Datum | null;
  }
  export interface InspectJobRequest {
    job: pps.Job | null;
    wait: boolean;
    details: boolean;
  }
  export interface InspectJobSetRequest {
    jobSet: pps.JobSet | null;
    wait: boolean;
    details: boolean;
  }
  export interface InspectPipelineRequest {
    pipeline: pps.Pipeline | null;
    details: boolean;
  }
  export interface InspectSecretRequest {
    secret: pps.Secret | null;
  }
  export interface Job {
    pipeline: pps.Pipeline | null;
    id: string;
  }
  export interface JobInfo {
    job: pps.Job | null;
    pipelineVersion: Int64;
    outputCommit: pfs.Commit | null;
    restart: Int64;
    dataProcessed: Int64;
    dataSkipped: Int64;
    dataTotal: Int64;
    dataFailed: Int64;
    dataRecovered: Int64;
    stats: pps.ProcessStats | null;
    state: pps.JobState;
    reason: string;
    created: Timestamp | null;
    started: Timestamp | null;
    finished: Timestamp | null;
    details: pps.JobInfo_Details | null;
    authToken: string;
  }
  export interface JobInfo_Details {
    transform: pps.Transform | null;
    parallelismSpec: pps.ParallelismSpec | null;
    egress: pps.Egress | null;
    service: pps.Service | null;
    spout: pps.Spout | null;
    workerStatus: pps.WorkerStatus[];
    resourceRequests: pps.ResourceSpec | null;
    resourceLimits: pps.ResourceSpec | null;
    sidecarResourceLimits: pps.ResourceSpec | null;
    input: pps.Input | null;
    salt: string;
    datumSetSpec: pps.DatumSetSpec | null;
    datumTimeout: Duration | null;
    jobTimeout: Duration | null;
    datumTries: Int64;
    schedulingSpec: pps.SchedulingSpec | null;
    podSpec: string;
    podPatch: string;
    sidecarResourceRequests: pps.ResourceSpec | null;
  }
  export interface JobSet {
    id: string;
  }
  export interface JobSetInfo {
    jobSet: pps.JobSet | null;
    jobs: pps.JobInfo[];
  }
  export interface ListDatumRequest {
    job: pps.Job | null;
    input: pps.Input | null;
    filter: pps.ListDatumRequest_Filter | null;
    paginationMarker: string;
    number: Int64;
    reverse: boolean;
  }
  export interface ListDatumRequest_Filter {
    state: pps.DatumState[];
  }
  export interface ListJobRequest {
    projects: pfs.Project[];
    pipeline: pps.Pipeline | null;
    inputCommit: pfs.Commit[];
    history: Int64;
    details: boolean;
    jqFilter: string;
    paginationMarker: Timestamp | null;
    number: Int64;
    reverse: boolean;
  }
  export interface ListJobSetRequest {
    details: boolean;
    projects: pfs.Project[];
    paginationMarker: Timestamp | null;
    number: Int64;
    reverse: boolean;
    jqFilter: string;
  }
  export interface ListPipelineRequest {
    pipeline: pps.Pipeline | null;
    history: Int64;
    details: boolean;
    jqFilter: string;
    commitSet: pfs.CommitSet | null;
    projects: pfs.Project[];
    page: pps.PipelinePage | null;
  }
  export interface LogMessage {
    projectName: string;
    pipelineName: string;
    jobId: string;
    workerId: string;
    datumId: string;
    master: boolean;
    data: pps.InputFile[];
    user: boolean;
    ts: Timestamp | null;
    message: string;
  }
  export interface LokiLogMessage {
    message: string;
  }
  export interface LokiRequest {
    since: Duration | null;
    query: string;
  }
  export interface Metadata {
    annotations: Record<string, string>;
    labels: Record<string, string>;
  }
  export interface ParallelismSpec {
    constant: Int64;
  }
  export interface PfsInput {
    project: string;
    name: string;
    repo: string;
    repoType: string;
    branch: string;
    commit: string;
    glob: string;
    joinOn: string;
    outerJoin: boolean;
    groupBy: string;
    lazy: boolean;
    emptyFiles: boolean;
    s3: boolean;
    trigger: pfs.Trigger | null;
    propagationSpec: pfs.PropagationSpec | null;
    reference: boolean;
  }
  export interface Pipeline {
    project: pfs.Project | null;
    name: string;
  }
  export interface PipelineInfo {
    pipeline: pps.Pipeline | null;
    version: Int64;
    specCommit: pfs.Commit | null;
    stopped: boolean;
    state: pps.PipelineState;
    reason: string;
    lastJobState: pps.JobState;
    parallelism: Int64;
    type: pps.PipelineInfo_PipelineType;
    authToken: string;
    details: pps.PipelineInfo_Details | null;
    userSpecJson: string;
    effectiveSpecJson: string;
    metadata: Record<string, string>;
  }
  export type PipelineInfo_PipelineType = "PIPELINT_TYPE_UNKNOWN" | "PIPELINE_TYPE_TRANSFORM" | "PIPELINE_TYPE_SPOUT" | "PIPELINE_TYPE_SERVICE";
  export interface PipelineInfo_Details {
    transform: pps.Transform | null;
    tfJob: pps.TfJob | null;
    parallelismSpec: pps.ParallelismSpec | null;
    egress: pps.Egress | null;
    createdAt: Timestamp | null;
    updatedAt: Timestamp | null;
    createdBy: string;
    recentError: string;
    workersRequested: Int64;
    workersAvailable: Int64;
    outputBranch: string;
    resourceRequests: pps.ResourceSpec | null;
    resourceLimits: pps.ResourceSpec | null;
    sidecarResourceLimits: pps.ResourceSpec | null;
    input: pps.Input | null;
    description: string;
    salt: string;
    reason: string;
    service: pps.Service | null;
    spout: pps.Spout | null;
    datumSetSpec: pps.DatumSetSpec | null;
    datumTimeout: Duration | null;
    jobTimeout: Duration | null;
    datumTries: Int64;
    schedulingSpec: pps.SchedulingSpec | null;
    podSpec: string;
    podPatch: string;
    s3Out: boolean;
    metadata: pps.Metadata | null;
    reprocessSpec: string;
    unclaimedTasks: Int64;
    workerRc: string;
    autoscaling: boolean;
    tolerations: pps.Toleration[];
    sidecarResourceRequests: pps.ResourceSpec | null;
    determined: pps.Determined | null;
    maximumExpectedUptime: Duration | null;
    workersStartedAt: Timestamp | null;
  }
  export interface PipelinePage {
    order: pps.PipelinePage_Ordering;
    pageSize: Int64;
    pageIndex: Int64;
  }
  export type PipelinePage_Ordering = "RECENT";
  export interface PipelinePicker {
    name?: pps.PipelinePicker_PipelineName;
  }
  export interface PipelinePicker_PipelineName {
    project: pfs.ProjectPicker | null;
    name: string;
  }
  export interface PipelinesSummary {
    project: pfs.Project | null;
    activePipelines: Int64;
    pausedPipelines: Int64;
    failedPipelines: Int64;
    unhealthyPipelines: Int64;
  }
  export interface PipelinesSummaryRequest {
    projects: pfs.ProjectPicker[];
  }
  export interface PipelinesSummaryResponse {
    summaries: pps.PipelinesSummary[];
  }
  export interface ProcessStats {
    downloadTime: Duration | null;
    processTime: Duration | null;
    uploadTime: Duration | null;
    downloadBytes: Int64;
    uploadBytes: Int64;
  }
  export interface RenderTemplateRequest {
    template: string;
    args: Record<string, string>;
  }
  export interface RenderTemplateResponse {
    json: string;
    specs: pps.CreatePipelineRequest[];
  }
  export interface RerunPipelineRequest {
    pipeline: pps.Pipeline | null;
    reprocess: boolean;
  }
  export interface ResourceSpec {
    cpu: number;
    memory: string;
    gpu: pps.GpuSpec | null;
    disk: string;
  }
  export interface RestartDatumRequest {
    job: pps.Job | null;
    dataFilters: string[];
  }
  export interface RunCronRequest {
    pipeline: pps.Pipeline | null;
  }
  export interface RunLoadTestRequest {
    dagSpec: string;
    loadSpec: string;
    seed: Int64;
    parallelism: Int64;
    podPatch: string;
    stateId: string;
  }
  export interface RunLoadTestResponse {
    error: string;
    stateId: string;
  }
  export interface RunPipelineRequest {
    pipeline: pps.Pipeline | null;
    provenance: pfs.Commit[];
    jobId: string;
  }
  export interface SchedulingSpec {
    nodeSelector: Record<string, string>;
    priorityClassName: string;
  }
  export interface Secret {
    name: string;
  }
  export interface SecretInfo {
    secret: pps.Secret | null;
    type: string;
    creationTimestamp: Timestamp | null;
  }
  export interface SecretInfos {
    secretInfo: pps.SecretInfo[];
  }
  export interface SecretMount {
    name: string;
    key: string;
    mountPath: string;
    envVar: string;
  }
  export interface Service {
    internalPort: number;
    externalPort: number;
    ip: string;
    type: string;
  }
  export interface SetClusterDefaultsRequest {
    regenerate: boolean;
    reprocess: boolean;
    dryRun: boolean;
    clusterDefaultsJson: string;
  }
  export interface SetClusterDefaultsResponse {
    affectedPipelines: pps.Pipeline[];
  }
  export interface SetProjectDefaultsRequest {
    project: pfs.Project | null;
    regenerate: boolean;
    reprocess: boolean;
    dryRun: boolean;
    projectDefaultsJson: string;
  }
  export interface SetProjectDefaultsResponse {
    affectedPipelines: pps.Pipeline[];
  }
  export interface Spout {
    service: pps.Service | null;
  }
  export interface StartCreateDatumRequest {
    input: pps.Input | null;
    number: number;
  }
  export interface StartPipelineRequest {
    pipeline: pps.Pipeline | null;
  }
  export interface StopJobRequest {
    job: pps.Job | null;
    reason: string;
  }
  export interface StopPipelineRequest {
    pipeline: pps.Pipeline | null;
    mustExist: boolean;
  }
  export interface SubscribeJobRequest {
    pipeline: pps.Pipeline | null;
    details: boolean;
  }
  export interface TfJob {
    tfJob: string;
  }
  export interface Toleration {
    key: string;
    operator: pps.TolerationOperator;
    value: string;
    effect: pps.TaintEffect;
    tolerationSeconds: Int64 | null;
  }
  export interface Transform {
    image: string;
    cmd: string[];
    errCmd: string[];
    env: Record<string, string>;
    secrets: pps.SecretMount[];
    imagePullSecrets: string[];
    stdin: string[];
    errStdin: string[];
    acceptReturnCode: Int64[];
    debug: boolean;
    user: string;
    workingDir: string;
    dockerfile: string;
    memoryVolume: boolean;
    datumBatching: boolean;
  }
  export interface UpdateJobStateRequest {
    job: pps.Job | null;
    state: pps.JobState;
    reason: string;
    restart: Int64;
    dataProcessed: Int64;
    dataSkipped: Int64;
    dataFailed: Int64;
    dataRecovered: Int64;
    dataTotal: Int64;
    stats: pps.ProcessStats | null;
  }
  export interface WorkerStatus {
    workerId: string;
    jobId: string;
    datumStatus: pps.DatumStatus | null;
  }
}

export namespace taskapi {
  export type State = "UNKNOWN" | "RUNNING" | "SUCCESS" | "FAILURE" | "CLAIMED";
  export interface Group {
    namespace: string;
    group: string;
  }
  export interface ListTaskRequest {
    group: taskapi.Group | null;
  }
  export interface TaskInfo {
    id: string;
    group: taskapi.Group | null;
    state: taskapi.State;
    reason: string;
    inputType: string;
    inputData: string;
  }
}

export namespace console {
  /** Narrow: no spec, no inputs, no logs. */
  export interface JobRow {
    project: string;
    pipeline: string;
    jobId: string;
    /** As in events: CREATED, STARTING, RUNNING, EGRESSING, FINISHING, SUCCESS, FAILURE, KILLED, UNRUNNABLE. */
    state: string;
    reason: string;
    created: Timestamp | null;
    started: Timestamp | null;
    finished: Timestamp | null;
    total: Int64;
    processed: Int64;
    skipped: Int64;
    failed: Int64;
    recovered: Int64;
    version: Int64;
    restart: Int64;
    /** US dollars so far; not set when no price is known. */
    dollars?: number;
  }
  export interface InspectOverviewRequest {
    /** Seconds back from now in which failures count; 0: a day. */
    seconds: number;
    /** The largest number of rows of each list; 0: 20. */
    number: Int64;
  }
  export interface Overview {
    /** Id of the newest event that this state includes: listen from here on. */
    position: string;
    at: Timestamp | null;
    projects: console.ProjectSummary[];
    /** Failed in the time asked for, newest first. */
    failed: console.JobRow[];
    failedTotal: Int64;
    /** Live jobs, newest first. */
    running: console.JobRow[];
    runningTotal: Int64;
    waiting: console.WaitingPipeline[];
    waitingTotal: Int64;
    dollarsPerHour: number;
    /** Workers whose machine has no known price. */
    unpricedWorkers: Int64;
    workers: Int64;
    /** Simulated machines have pretended prices. */
    pretended: boolean;
  }
  export interface ProjectSummary {
    name: string;
    description: string;
    created: Timestamp | null;
    repos: Int64;
    pipelines: Int64;
    /** Pipelines by state, with names as in events. */
    pipelineStates: Record<string, Int64>;
    /** Live jobs by state. */
    liveJobs: Record<string, Int64>;
    /** Jobs that ended in the time asked for, by state. */
    endedJobs: Record<string, Int64>;
    workers: Int64;
  }
  /** A pipeline that has work or an error and waits. */
  export interface WaitingPipeline {
    project: string;
    pipeline: string;
    /** Kind of the cause, as in ExplainState. */
    kind: string;
    sentence: string;
    since: Timestamp | null;
    jobId: string;
  }
  export interface InspectGraphRequest {
    project: string;
    /** State as of this global id; empty: now. */
    commitSet: string;
    /** Of the topology that the client has: no edges come when it is still right. */
    knownEtag: string;
  }
  export interface Graph {
    position: string;
    /** Changes exactly when nodes or edges come, go or are renamed. */
    etag: string;
    /** The client's topology is still right: edges is empty. */
    unchanged: boolean;
    nodes: console.GraphNode[];
    edges: console.GraphEdge[];
  }
  export interface GraphNode {
    /** project/repo:NAME or project/pipeline:NAME. A pipeline stands for its output repo too. */
    id: string;
    project: string;
    /** repo, pipeline or cron. */
    kind: string;
    name: string;
    /** Pipelines: state as in events, stopped, reason. With commit_set: the state of its job (empty: none). */
    state: string;
    stopped: boolean;
    reason: string;
    /** Its newest job, or that of commit_set. */
    job: console.JobRow | null;
    workers: Int64;
    workersWanted: Int64;
    workersLimit: Int64;
    /** Repos: the head of master, or the commit of commit_set. While the head is open, the size before it. */
    sizeBytes: Int64;
    headCommit: string;
    headAt: Timestamp | null;
    /** spout, service, batch or transform. */
    work: string;
    /** Of another project: nothing but its name and kind is set. */
    outside: boolean;
    /** Those that workers counts: events of workers add to them and take from them. */
    readyWorkerIds: string[];
  }
  export interface GraphEdge {
    from: string;
    to: string;
    /** Branch of the input. */
    branch: string;
  }
  export interface ListRepoRowRequest {
    project: string;
  }
  export interface RepoRows {
    rows: console.RepoRow[];
    /** Id of the newest event that these rows include: listen from here on. */
    position: string;
  }
  /** Of users, or the output of a pipeline. */
  export interface RepoRow {
    name: string;
    /** Cut to 1,000 characters. */
    description: string;
    branches: Int64;
    /** Of the head of master. While it is open, of the commit before it. */
    sizeBytes: Int64;
    headAt: Timestamp | null;
    /** A pipeline writes it. */
    isOutput: boolean;
  }
  export interface ListJobRowRequest {
    /** Each empty: all. */
    projects: string[];
    pipelines: string[];
    states: string[];
    commitSet: string;
    /** Jobs that existed at some time in this range. */
    from: Timestamp | null;
    until: Timestamp | null;
    /** Of an earlier page; empty: the first. A page may have fewer rows than asked for although more follow. */
    pageToken: string;
    /** 0: 100; at most 1,000 */
    number: Int64;
    /** Also count the rows that match, up to 100,000. */
    count: boolean;
  }
  export interface JobRowPage {
    rows: console.JobRow[];
    /** Empty: no more. */
    nextPageToken: string;
    position: string;
    total?: Int64;
    /** The count ended at its limit. */
    totalIsLeast: boolean;
  }
  export interface ListRunRequest {
    /** empty: all */
    project: string;
    pageToken: string;
    /** 0: 50; at most 1,000 */
    number: Int64;
  }
  export interface RunPage {
    runs: console.Run[];
    nextPageToken: string;
    position: string;
  }
  /** A global id: all commits and jobs that one change has caused. */
  export interface Run {
    commitSet: string;
    started: Timestamp | null;
    finished: Timestamp | null;
    commits: Int64;
    jobStates: Record<string, Int64>;
    /** Where it began, as project/repo@branch. */
    origin: string;
  }
  export interface InspectScalingRequest {
    project: string;
    pipeline: string;
    from: Timestamp | null;
    until: Timestamp | null;
    /** Number of points at most; 0: 600. */
    width: Int64;
  }
  export interface Scaling {
    points: console.ScalingPoint[];
    decisions: console.ScalingDecision[];
    /** Limit and shape of the spec now. */
    workersLimit: Int64;
    autoscaling: boolean;
    position: string;
  }
  export interface ScalingPoint {
    at: Timestamp | null;
    asked: number;
    existing: number;
    ready: number;
    /** Not set where it is not known. */
    busy?: number;
    queue?: number;
  }
  export interface ScalingDecision {
    at: Timestamp | null;
    target: Int64;
    sentence: string;
  }
  export interface SearchRequest {
    text: string;
    /** of each kind; 0: 8 */
    number: Int64;
  }
  export interface SearchResponse {
    hits: console.SearchHit[];
  }
  export interface SearchHit {
    /** project, repo, pipeline, job, commit, run or worker. */
    kind: string;
    project: string;
    name: string;
    id: string;
  }
  /** Those that a page or program was looking for; the others are empty. */
  export interface FindDeletionRequest {
    project: string;
    repo: string;
    /** Name of a branch, or id of a commit. */
    ref: string;
    pipeline: string;
    jobId: string;
    /** A global id. */
    commitSet: string;
  }
  export interface Deletion {
    /** The first that does not exist: project, repo, pipeline, branch, commit, job or run; empty: all exist. */
    kind: string;
    name: string;
    /** When it was deleted, as far as the event log goes back; not set when that is not known. There is no event for the deletion of projects and branches. */
    at: Timestamp | null;
    /** What it belonged to, when that was deleted with it: repo or pipeline; empty otherwise. There may be another one of that name now. */
    with: string;
    /** Existing names like it, the most alike first. */
    similar: string[];
    /** Other projects that have a repo or pipeline of this name. */
    projects: string[];
  }
  export interface InspectServerRequest {
  }
  export interface ServerInfo {
    version: string;
    /** First digits of the commit it was built from; empty when that is unknown. */
    commit: string;
    started: Timestamp | null;
    /** HOST:PORT, or unix:PATH. */
    address: string;
    /** Folder of the server's own data. */
    dataFolder: string;
    /** URL of the database and of the object store without secrets; empty: in the data folder. */
    database: string;
    store: string;
    /** Where commands run: processes, containers, auto or kubernetes. */
    fleet: string;
    /** Whose machines are simulated; empty: none. */
    simulated: string;
    /** How long and how much of logs, decisions, events and results of failed jobs are kept. */
    keepDays: number;
    keepLogBytes: Int64;
    keepEventBytes: Int64;
    limits: console.LimitInfo[];
  }
  export interface LimitInfo {
    /** As in messages, or of serve --limit. */
    name: string;
    value: number;
    unit: string;
    bounds: string;
    /** Set by serve --limit. */
    isSetting: boolean;
  }
  export interface InspectDatumsRequest {
    project: string;
    pipeline: string;
    jobId: string;
    /** of the slowest and failed; 0: 5 */
    number: Int64;
  }
  export interface DatumSummary {
    states: Record<string, Int64>;
    seconds: console.FiveNumbers | null;
    inputBytes: console.FiveNumbers | null;
    outputBytes: console.FiveNumbers | null;
    slowest: console.DatumLine[];
    failed: console.DatumLine[];
    failedTotal: Int64;
    position: string;
  }
  /** Of the datums that ran. Quartiles may be off by the share in "error". */
  export interface FiveNumbers {
    count: Int64;
    least: number;
    lowerQuartile: number;
    median: number;
    upperQuartile: number;
    largest: number;
    error: number;
  }
  export interface DatumLine {
    id: string;
    /** As in ListDatum, in capitals: UNKNOWN, STARTING, SUCCESS, SKIPPED, FAILED, RECOVERED. */
    state: string;
    /** The first few inputs, as repo path, and how many there are. */
    paths: string[];
    inputs: Int64;
    seconds: number;
    started: Timestamp | null;
    workerId: string;
    inputBytes: Int64;
    outputBytes: Int64;
    reason: string;
    /** The job that ran it, when this one skipped it. */
    processedByJobId: string;
    /** In what the job runs; not set for one that it skips. */
    position?: Int64;
    /** With ids in the request: up to 100 paths of the output commit that it wrote, and how many there are. */
    outputs: string[];
    outputsTotal: Int64;
  }
  export interface ListDatumRowRequest {
    project: string;
    pipeline: string;
    jobId: string;
    order: console.ListDatumRowRequest_Order;
    states: string[];
    /** Contained in the path of an input. */
    text: string;
    offset: Int64;
    /** Alternative to offset, for orders and filters without known ranks. */
    pageToken: string;
    /** 0: 100; at most 1,000 */
    number: Int64;
    /** Begin and end, to select by time. */
    from: Timestamp | null;
    until: Timestamp | null;
    workerIds: string[];
    /** Exactly those at these positions, in this order. */
    positions: Int64[];
    /** Exactly those with these ids, in this order, with worker, begin and outputs. */
    ids: string[];
  }
  export type ListDatumRowRequest_Order = "ID" | "STATE" | "DURATION";
  export interface DatumRowPage {
    rows: console.DatumLine[];
    /** Of all that match; not set when that is not known without reading all. */
    total?: Int64;
    nextPageToken: string;
    position: string;
    /** More match, but their order is not known: of a very large job only the slowest are. */
    isCut: boolean;
  }
  export interface InspectTimelineRequest {
    project: string;
    pipeline: string;
    jobId: string;
    /** Empty: the whole job. */
    from: Timestamp | null;
    until: Timestamp | null;
    /** slices; 0: 1,000; at most 4,000 */
    width: Int64;
    /** the most; 0: 200 */
    lanes: Int64;
  }
  export interface Timeline {
    from: Timestamp | null;
    until: Timestamp | null;
    width: Int64;
    lanes: console.Lane[];
    lanesTotal: Int64;
    position: string;
  }
  export interface Lane {
    workerId: string;
    /** Empty when the worker is gone. */
    machine: string;
    /** One byte per slice: the share of it, 0 to 255, in which a datum ran. */
    busy: Base64;
    failures: console.FailureSlice[];
    /** Empty when too many are in range. */
    bars: console.TimelineBar[];
    hasBars: boolean;
    /** That ended in the range. */
    datums: Int64;
  }
  /** A datum, or several that follow each other. */
  export interface TimelineBar {
    /** In what the job runs, of the first. */
    position: Int64;
    begin: Timestamp | null;
    seconds: number;
    state: string;
    count: Int64;
    failed: Int64;
  }
  export interface FailureSlice {
    slice: Int64;
    failed: Int64;
  }
  export interface CompareJobsRequest {
    project: string;
    pipeline: string;
    jobA: string;
    jobB: string;
  }
  export interface JobComparison {
    a: console.JobRow | null;
    b: console.JobRow | null;
    datumsA: console.DatumSummary | null;
    datumsB: console.DatumSummary | null;
    spec: console.SpecChange[];
    inputs: console.InputChange[];
    /** Datums that succeed in one and fail in the other, new and gone ones: at most 1,000 each. */
    nowFailed: console.DatumLine[];
    nowGood: console.DatumLine[];
    /** Not set unless both jobs were successes. */
    added?: Int64;
    removed?: Int64;
    changed?: Int64;
    /** Counting ended at its limit. */
    changesAreLeast: boolean;
  }
  export interface SpecChange {
    path: string;
    beforeJson: string;
    afterJson: string;
  }
  export interface InputChange {
    /** project/repo@branch */
    branch: string;
    commitA: string;
    commitB: string;
  }
  /** A log: that of a pipeline, a job, a datum or a worker. */
  export interface LogName {
    project: string;
    pipeline: string;
    jobId: string;
    datumId: string;
    workerId: string;
  }
  export interface ReadLogRequest {
    log: console.LogName | null;
    /** Position of a line; empty: the end (or the begin with from_begin). */
    position: string;
    fromBegin: boolean;
    /** Alternative to position: a line by its number, from 0. */
    line?: Int64;
    /** Lines before and from the position on; 0: 200. At most 2,000 each. */
    before: Int64;
    after: Int64;
    /** The first line of this time or later, when there is no position. */
    from: Timestamp | null;
    /** Return the lines at before and after in full, up to 1 MB each. */
    full: boolean;
  }
  export interface LogWindow {
    lines: console.LogLine[];
    atBegin: boolean;
    atEnd: boolean;
    /** Of all lines of the log, as far as it is known without reading them. */
    linesTotal: Int64;
    linesBefore: Int64;
    /** Id of the newest event that the window includes. */
    eventPosition: string;
    /** Whether lines were dropped by retention before the begin. */
    expired: boolean;
  }
  export interface LogLine {
    position: string;
    at: Timestamp | null;
    /** at most 10 kB */
    text: string;
    /** Bytes of the whole line. */
    length: Int64;
    workerId: string;
    jobId: string;
    datumId: string;
    /** user, or that of the worker itself. */
    source: string;
  }
  export interface SearchLogRequest {
    log: console.LogName | null;
    text: string;
    /** text is an expression of RE2. */
    regex: boolean;
    matchCase: boolean;
    from: Timestamp | null;
    until: Timestamp | null;
    /** of hits with their lines; 0: 1,000. All are counted. */
    number: Int64;
  }
  /** Sent as they are found; the last one has done. */
  export interface LogHits {
    lines: console.LogLine[];
    total: Int64;
    done: boolean;
  }
  export interface InspectLogRequest {
    log: console.LogName | null;
    from: Timestamp | null;
    until: Timestamp | null;
    /** 0: 200 */
    width: Int64;
  }
  export interface LogHistogram {
    from: Timestamp | null;
    until: Timestamp | null;
    lines: Int64[];
  }
  /** A repo with a commit or branch. */
  export interface Tree {
    project: string;
    repo: string;
    /** Name of a branch, or id of a commit. */
    ref: string;
  }
  export interface ListFolderRequest {
    tree: console.Tree | null;
    path: string;
    offset: Int64;
    /** Alternative to offset: the first name that begins with this or comes after it. */
    fromName: string;
    /** 0: 200; at most 1,000 */
    number: Int64;
    /** Also count the entries of a folder with very many, which takes about a second per million the first time. */
    count: boolean;
  }
  export interface FolderPage {
    commitId: string;
    /** When the commit was finished; not set while it is open. */
    finished: Timestamp | null;
    entries: console.FolderEntry[];
    /** Rank of the first entry. */
    offset: Int64;
    /** Entries of the folder; not set when there are very many and nobody has counted them yet. */
    total?: Int64;
    /** Bytes and files below the folder, and its hash. */
    sizeBytes: Int64;
    files: Int64;
    hash: Base64;
  }
  export interface FolderEntry {
    name: string;
    folder: boolean;
    sizeBytes: Int64;
    /** Files below a folder. */
    files: Int64;
    hash: Base64;
    /** The datum that wrote the file; empty for files that users put. */
    datumId: string;
  }
  export interface CompareFoldersRequest {
    /** Without a repo: the parent of new. */
    old: console.Tree | null;
    new: console.Tree | null;
    path: string;
    pageToken: string;
    /** 0: 200 */
    number: Int64;
  }
  export interface FolderComparison {
    entries: console.ChangedEntry[];
    nextPageToken: string;
    /** Files of the whole folder that differ, on the first page; not set when that is too much to count. */
    added?: Int64;
    removed?: Int64;
    changed?: Int64;
    addedBytes?: Int64;
    removedBytes?: Int64;
    /** Ids of the commits. */
    oldCommitId: string;
    newCommitId: string;
  }
  export interface ChangedEntry {
    name: string;
    folder: boolean;
    /** ADDED, REMOVED or CHANGED. */
    change: string;
    oldSize: Int64;
    newSize: Int64;
    oldHash: Base64;
    newHash: Base64;
    /** Files below a folder that differ; not set when that is too much to count. */
    added?: Int64;
    removed?: Int64;
    changed?: Int64;
    /** Files below a folder. */
    oldFiles: Int64;
    newFiles: Int64;
  }
  export interface ListFileVersionRequest {
    tree: console.Tree | null;
    path: string;
    pageToken: string;
    /** 0: 50 */
    number: Int64;
  }
  /** Of at most 1,000 commits: there may be more versions although the page is not full. */
  export interface FileVersionPage {
    versions: console.FileVersion[];
    nextPageToken: string;
  }
  export interface FileVersion {
    commitId: string;
    finished: Timestamp | null;
    /** ADDED, CHANGED or REMOVED. */
    change: string;
    sizeBytes: Int64;
    hash: Base64;
    datumId: string;
  }
}

export namespace control {
  export interface ListWorkerRequest {
    /** empty: all */
    project: string;
    /** empty: all */
    pipeline: string;
  }
  export interface WorkerInfo {
    id: string;
    project: string;
    pipeline: string;
    /** pending, starting, idle, busy or retiring. */
    state: string;
    reason: string;
    created: Timestamp | null;
    ready: Timestamp | null;
    jobId: string;
    datumId: string;
    pipelineVersion: Int64;
    /** Name of the machine that the worker runs on. */
    machine: string;
  }
  export interface ListMachineRequest {
  }
  export interface MachineInfo {
    name: string;
    /** local, node, node group, karpenter or fargate. */
    kind: string;
    /** Node group, pool or profile. */
    group: string;
    instanceType: string;
    region: string;
    spot: boolean;
    cpu: number;
    memoryBytes: Int64;
    created: Timestamp | null;
    ready: boolean;
    /** The machine does not exist: a simulation lists it. */
    pretended: boolean;
    /** Ids of the workers on it. */
    workers: string[];
    /** US dollars; 0 where no price is known. */
    dollarsPerHour: number;
    /** Pipelines of the workers on it, as project/name, one entry per worker. */
    pipelines: string[];
  }
  export interface InspectProgressRequest {
    project: string;
    pipeline: string;
    jobId: string;
  }
  export interface JobProgress {
    /** Datums of the job; while it is not planned, those that it runs early. */
    total: Int64;
    /** Datums with a result, and those that need none. */
    recorded: Int64;
    skipped: Int64;
    running: Int64;
    waiting: Int64;
    /** Workers that hold datums of the job. */
    workers: Int64;
    /** Seconds of a datum: at most this long take half of them, nine of ten, 99 of 100. 0 when nothing is known. */
    medianSeconds: number;
    p90Seconds: number;
    p99Seconds: number;
    datumsPerSecond: number;
    /** Seconds until the last datum is done, as likely too many as too few. Not set when nothing is known. */
    secondsLeft?: number;
    /** Seconds that suffice nine times of ten. */
    secondsLeftP90?: number;
    /** The longest first, at most 20. */
    late: control.LateDatum[];
  }
  /** A datum that has run for three times the median of its job, and for a second. */
  export interface LateDatum {
    id: string;
    paths: string[];
    workerId: string;
    seconds: number;
    timesMedian: number;
  }
  export interface ListCostRequest {
    project: string;
    /** empty: all of the project */
    pipeline: string;
    /** empty: the last jobs */
    jobId: string;
    /** 0: 20 */
    number: Int64;
  }
  export interface CostInfo {
    project: string;
    pipeline: string;
    jobId: string;
    /** Seconds that workers of the pipeline existed while the job ran, starts included. */
    workerSeconds: number;
    /** Seconds of these in which commands ran. */
    workSeconds: number;
    /** US dollars, for the seconds whose price is known. */
    dollars: number;
    /** Seconds without a known price. */
    unpricedSeconds: number;
    /** The machines do not exist: a simulation lists them. */
    pretended: boolean;
  }
  export interface ExplainPipelineRequest {
    project: string;
    pipeline: string;
    /** 0: 20 */
    number: Int64;
  }
  export interface Decision {
    at: Timestamp | null;
    target: Int64;
    sentence: string;
    inputsJson: string;
  }
  export interface CreateImageRequest {
    /** First frame: name and requirements; every frame: files. */
    name: string;
    /** lines of packages with versions, as in a requirements file of pip */
    requirements: string;
    files: control.ImageFile[];
  }
  export interface ImageFile {
    /** absolute */
    path: string;
    /** appended */
    data: Base64;
    /** permission bits */
    mode: number;
  }
  export interface ImageInfo {
    name: string;
    digest: string;
    /** building, ready or failed */
    state: string;
    reason: string;
    paths: string[];
  }
  export interface ListImageRequest {
  }
  export interface DeleteImageRequest {
    name: string;
  }
  export interface DeleteImageResponse {
  }
  export interface InspectStorageRequest {
  }
  export interface StorageInfo {
    chunks: Int64;
    packs: Int64;
    /** in packs, after compression */
    storedBytes: Int64;
    /** before compression, each chunk once */
    chunkBytes: Int64;
    /** all bytes that were ever put, before deduplication */
    writtenBytes: Int64;
  }
  export interface WatchEventsRequest {
    /** repo, commit, pipeline, job, datum, worker or decision; empty: all. Lists admit what one of their entries names. */
    kinds: string[];
    projects: string[];
    /** With pipelines too: what either admits. */
    repos: string[];
    pipelines: string[];
    jobIds: string[];
    /** Id of the last event that the client has; "0": send all that are stored. Empty, and without since: only new ones. */
    after: string;
    since: Timestamp | null;
    /** End at the newest event instead of waiting for the next one. */
    storedOnly: boolean;
  }
  export interface Event {
    id: string;
    /** As in the request; or reset: events were missed, read the state again. */
    kind: string;
    json: string;
  }
  export interface InspectEventLogRequest {
  }
  export interface EventLog {
    /** Id of the newest event; "0" when there is none. */
    position: string;
  }
  export interface ApplyRequest {
    /** One spec each, in JSON. */
    specsJson: string[];
    /** Delete the other pipelines of the projects that the specs name. */
    prune: boolean;
    /** Only say what would change. */
    dryRun: boolean;
    /** Run all datums of updated pipelines again. */
    reprocess: boolean;
    /** Of an earlier answer: refused if anything else would change by now. Empty: whatever changes. */
    basis: string;
  }
  export interface ApplyResponse {
    changes: control.PipelineChange[];
    /** Stands for the changes. */
    basis: string;
    /** Id of the commits and jobs that were made; empty for a dry run. */
    commitSet: string;
  }
  export interface PipelineChange {
    project: string;
    pipeline: string;
    /** create, update, delete or none. */
    action: string;
    fields: control.FieldChange[];
  }
  /** A field of the effective spec whose value differs. */
  export interface FieldChange {
    /** Such as input.pfs.glob. */
    path: string;
    /** Empty: not set. */
    beforeJson: string;
    afterJson: string;
  }
  export interface PlanUpdateRequest {
    specJson: string;
    /** Run all datums again. */
    reprocess: boolean;
  }
  export interface CheckSpecRequest {
    /** One spec in JSON or YAML. */
    text: string;
    /** Of a spec that names none; empty: default. */
    project: string;
    /** Run all datums again. */
    reprocess: boolean;
  }
  export interface SpecCheck {
    /** Code and sentence of the first mistake; empty: none. */
    code: string;
    problem: string;
    /** The spec in JSON with its project, as soon as it can be parsed. */
    specJson: string;
    /** With defaults; empty with a mistake. */
    effectiveJson: string;
    /** Not set with a mistake. */
    plan: control.UpdatePlan | null;
    /** Fields that have no effect on this server's fleet. */
    notice: string;
  }
  export interface UpdatePlan {
    project: string;
    pipeline: string;
    /** Of the pipeline now; 0 when it does not exist. */
    version: Int64;
    fields: control.FieldChange[];
    total: Int64;
    run: Int64;
    /** Datums that exist now and would not any more: their outputs are removed. */
    removed: Int64;
    causes: control.PlannedDatums[];
    /** Seconds of a datum, the mean of the last jobs; 0 when nothing is known. */
    datumSeconds: number;
    workers: Int64;
    seconds: number;
    /** US dollars by the bills of the last jobs. */
    dollars: number;
  }
  export interface PlannedDatums {
    /** As in ExplainDatum, such as NEW, CHANGED, SALT. */
    cause: string;
    datums: Int64;
    /** Paths of the first few of them. */
    examples: string[];
  }
}

export namespace explain {
  export interface ExplainDatumRequest {
    project: string;
    pipeline: string;
    jobId: string;
    datumId: string;
  }
  export interface DatumExplanation {
    datumId: string;
    jobId: string;
    /** As in ListDatum: unknown, starting, success, skipped, failed or recovered. */
    state: string;
    cause: explain.DatumExplanation_Cause;
    sentence: string;
    /** The job that it was compared with; empty without one. */
    baseJobId: string;
    /** The job that processed it last; empty when none has. */
    processedByJobId: string;
    changes: explain.ItemChange[];
    /** Why it failed. */
    reason: string;
    /** What its command used when it ran; 0 when that was not measured. */
    cpuSeconds: number;
    peakMemoryBytes: Int64;
    downloadBytes: Int64;
    uploadBytes: Int64;
  }
  export type DatumExplanation_Cause = "CAUSE_UNSPECIFIED" | "FIRST" | "NEW" | "CHANGED" | "SALT" | "RECOVERED" | "EVERY_JOB" | "SKIPPED" | "UNKNOWN";
  export interface ItemChange {
    /** Name of the input. */
    input: string;
    path: string;
    oldHash: Base64;
    newHash: Base64;
    oldSize: Int64;
    newSize: Int64;
  }
  export interface ExplainJobRequest {
    project: string;
    pipeline: string;
    jobId: string;
  }
  export interface JobExplanation {
    jobId: string;
    state: string;
    reason: string;
    phases: explain.Phase[];
  }
  export interface Phase {
    kind: explain.Phase_Kind;
    begin: Timestamp | null;
    /** Not set while it lasts. */
    end: Timestamp | null;
    seconds: number;
    /** What it waited for, or what was done. */
    sentence: string;
  }
  export type Phase_Kind = "KIND_UNSPECIFIED" | "WAITING_FOR_INPUT" | "WAITING_FOR_EARLIER_JOB" | "PLANNING" | "WAITING_FOR_WORKERS" | "RUNNING" | "STRAGGLING" | "SETTLING" | "EGRESSING";
  export interface ExplainStateRequest {
    project: string;
    pipeline: string;
  }
  export interface StateExplanation {
    project: string;
    pipeline: string;
    state: string;
    /** The most important first; at least one. */
    causes: explain.StateCause[];
  }
  export interface StateCause {
    kind: explain.StateCause_Kind;
    sentence: string;
    /** The input branch that it is about, as project/repo@branch; empty for none. */
    branch: string;
    jobId: string;
    /** When the next tick of a cron comes. */
    at: Timestamp | null;
  }
  export type StateCause_Kind = "KIND_UNSPECIFIED" | "STOPPED" | "FAILED" | "CRASHING" | "WAITING_FOR_WORKERS" | "WORKING" | "INPUT_OPEN" | "NO_FILES" | "TRIGGER" | "CRON" | "UPSTREAM_FAILED" | "JOB_FAILED" | "NO_MATCH" | "IDLE";
  export interface ExplainFileRequest {
    /** A folder means all files below it. */
    file: pfs.File | null;
    /** Follow what was made from the file instead of what it was made from. */
    forward: boolean;
    /** The largest number of datums; 0: 1,000. */
    number: Int64;
  }
  export interface LineageStep {
    /** 1 for datums that wrote or read the file itself. */
    depth: Int64;
    project: string;
    pipeline: string;
    pipelineVersion: Int64;
    /** The job whose commit the outputs are in, and the job that ran the datum. */
    jobId: string;
    processedByJobId: string;
    datumId: string;
    inputs: explain.LineageFile[];
    /** At most 1,000. */
    outputs: explain.LineageFile[];
    /** Only in the last message: why the lineage is not complete. All other fields are empty then. */
    incomplete: string;
  }
  export interface LineageFile {
    /** As project/repo. */
    repo: string;
    commitId: string;
    /** Folders end with a slash. */
    path: string;
    /** Name of the input that shows it; empty for outputs. */
    input: string;
    hash: Base64;
    sizeBytes: Int64;
  }
  export interface RecommendRequest {
    project: string;
    pipeline: string;
  }
  export interface Recommendation {
    project: string;
    pipeline: string;
    /** The job whose datums were looked at, and how many of them were measured. */
    jobId: string;
    sample: Int64;
    proposals: explain.Proposal[];
    /** CPUs that a datum used on average. */
    cpus: explain.Quantiles | null;
    memoryBytes: explain.Quantiles | null;
    downloadBytes: explain.Quantiles | null;
    uploadBytes: explain.Quantiles | null;
  }
  export interface Proposal {
    /** Path of a field of the spec. */
    field: string;
    /** Empty when the spec does not set it. */
    current: string;
    proposed: string;
  }
  export interface Quantiles {
    median: number;
    /** 95 % of the datums used no more. */
    high: number;
    largest: number;
  }
}

export namespace machines {
  export interface ReportRequest {
    /** 32 hex digits, new at each start of the program. */
    machineId: string;
    /** Of the host, for people. */
    name: string;
    /** How many workers it takes. */
    slots: number;
    cpu: number;
    memoryBytes: Int64;
    workers: machines.WorkerReport[];
    /** The server answers at once when something changed, else after this time, 10 s at most. */
    waitSeconds: number;
    /** The machine stops; its workers have ended. */
    leaving: boolean;
  }
  export interface WorkerReport {
    id: string;
    /** pending, running or gone */
    phase: string;
    reason: string;
    queued: boolean;
    /** crashed, removed or stopped */
    ending: string;
  }
  export interface ReportResponse {
    /** All workers that the machine should have; it ends others at once. */
    workers: machines.MachineWorker[];
  }
  export interface MachineWorker {
    id: string;
    /** Authenticates the worker. Empty, as are the next fields, for one that was started for an earlier server. */
    token: string;
    project: string;
    pipeline: string;
    version: Int64;
    specJson: string;
    memoryBytes: Int64;
    graceSeconds: number;
    /** It has to end, by force after this time. */
    stop: boolean;
    stopSeconds: number;
  }
  export interface CreateWorkerTokenRequest {
    /** 0: 30 days. */
    validSeconds: number;
  }
  export interface ListWorkerTokenRequest {
  }
  export interface WorkerTokenInfo {
    id: string;
    /** Only in the answer of CreateWorkerToken. */
    token: string;
    created: Timestamp | null;
    expires: Timestamp | null;
  }
  export interface RevokeWorkerTokenRequest {
    id: string;
  }
  export interface RevokeWorkerTokenResponse {
  }
}

export namespace versionpb {
  export interface Version {
    major: number;
    minor: number;
    micro: number;
    additional: string;
    gitCommit: string;
    gitTreeModified: string;
    buildDate: string;
    goVersion: string;
    platform: string;
  }
}

/** Every method that the console may call: its request, its answer, and whether it streams answers. */
export interface Methods {
  "pfs_v2.API/CreateRepo": { request: pfs.CreateRepoRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/InspectRepo": { request: pfs.InspectRepoRequest; answer: pfs.RepoInfo; stream: false };
  "pfs_v2.API/ListRepo": { request: pfs.ListRepoRequest; answer: pfs.RepoInfo; stream: true };
  "pfs_v2.API/DeleteRepo": { request: pfs.DeleteRepoRequest; answer: pfs.DeleteRepoResponse; stream: false };
  "pfs_v2.API/DeleteRepos": { request: pfs.DeleteReposRequest; answer: pfs.DeleteReposResponse; stream: false };
  "pfs_v2.API/StartCommit": { request: pfs.StartCommitRequest; answer: pfs.Commit; stream: false };
  "pfs_v2.API/FinishCommit": { request: pfs.FinishCommitRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/ClearCommit": { request: pfs.ClearCommitRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/InspectCommit": { request: pfs.InspectCommitRequest; answer: pfs.CommitInfo; stream: false };
  "pfs_v2.API/ListCommit": { request: pfs.ListCommitRequest; answer: pfs.CommitInfo; stream: true };
  "pfs_v2.API/SubscribeCommit": { request: pfs.SubscribeCommitRequest; answer: pfs.CommitInfo; stream: true };
  "pfs_v2.API/SquashCommit": { request: pfs.SquashCommitRequest; answer: pfs.SquashCommitResponse; stream: false };
  "pfs_v2.API/DropCommit": { request: pfs.DropCommitRequest; answer: pfs.DropCommitResponse; stream: false };
  "pfs_v2.API/InspectCommitSet": { request: pfs.InspectCommitSetRequest; answer: pfs.CommitInfo; stream: true };
  "pfs_v2.API/ListCommitSet": { request: pfs.ListCommitSetRequest; answer: pfs.CommitSetInfo; stream: true };
  "pfs_v2.API/SquashCommitSet": { request: pfs.SquashCommitSetRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/DropCommitSet": { request: pfs.DropCommitSetRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/FindCommits": { request: pfs.FindCommitsRequest; answer: pfs.FindCommitsResponse; stream: true };
  "pfs_v2.API/WalkCommitProvenance": { request: pfs.WalkCommitProvenanceRequest; answer: pfs.CommitInfo; stream: true };
  "pfs_v2.API/WalkCommitSubvenance": { request: pfs.WalkCommitSubvenanceRequest; answer: pfs.CommitInfo; stream: true };
  "pfs_v2.API/CreateBranch": { request: pfs.CreateBranchRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/InspectBranch": { request: pfs.InspectBranchRequest; answer: pfs.BranchInfo; stream: false };
  "pfs_v2.API/ListBranch": { request: pfs.ListBranchRequest; answer: pfs.BranchInfo; stream: true };
  "pfs_v2.API/DeleteBranch": { request: pfs.DeleteBranchRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/WalkBranchProvenance": { request: pfs.WalkBranchProvenanceRequest; answer: pfs.BranchInfo; stream: true };
  "pfs_v2.API/WalkBranchSubvenance": { request: pfs.WalkBranchSubvenanceRequest; answer: pfs.BranchInfo; stream: true };
  "pfs_v2.API/ModifyFile": { request: pfs.ModifyFileRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/GetFile": { request: pfs.GetFileRequest; answer: Base64; stream: true };
  "pfs_v2.API/GetFileTAR": { request: pfs.GetFileRequest; answer: Base64; stream: true };
  "pfs_v2.API/InspectFile": { request: pfs.InspectFileRequest; answer: pfs.FileInfo; stream: false };
  "pfs_v2.API/ListFile": { request: pfs.ListFileRequest; answer: pfs.FileInfo; stream: true };
  "pfs_v2.API/WalkFile": { request: pfs.WalkFileRequest; answer: pfs.FileInfo; stream: true };
  "pfs_v2.API/GlobFile": { request: pfs.GlobFileRequest; answer: pfs.FileInfo; stream: true };
  "pfs_v2.API/DiffFile": { request: pfs.DiffFileRequest; answer: pfs.DiffFileResponse; stream: true };
  "pfs_v2.API/ActivateAuth": { request: pfs.ActivateAuthRequest; answer: pfs.ActivateAuthResponse; stream: false };
  "pfs_v2.API/DeleteAll": { request: Record<string, never>; answer: Record<string, never>; stream: false };
  "pfs_v2.API/Fsck": { request: pfs.FsckRequest; answer: pfs.FsckResponse; stream: true };
  "pfs_v2.API/CreateFileSet": { request: pfs.ModifyFileRequest; answer: pfs.CreateFileSetResponse; stream: false };
  "pfs_v2.API/GetFileSet": { request: pfs.GetFileSetRequest; answer: pfs.CreateFileSetResponse; stream: false };
  "pfs_v2.API/AddFileSet": { request: pfs.AddFileSetRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/RenewFileSet": { request: pfs.RenewFileSetRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/ComposeFileSet": { request: pfs.ComposeFileSetRequest; answer: pfs.CreateFileSetResponse; stream: false };
  "pfs_v2.API/ShardFileSet": { request: pfs.ShardFileSetRequest; answer: pfs.ShardFileSetResponse; stream: false };
  "pfs_v2.API/CheckStorage": { request: pfs.CheckStorageRequest; answer: pfs.CheckStorageResponse; stream: false };
  "pfs_v2.API/PutCache": { request: pfs.PutCacheRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/GetCache": { request: pfs.GetCacheRequest; answer: pfs.GetCacheResponse; stream: false };
  "pfs_v2.API/ClearCache": { request: pfs.ClearCacheRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/ListTask": { request: taskapi.ListTaskRequest; answer: taskapi.TaskInfo; stream: true };
  "pfs_v2.API/Egress": { request: pfs.EgressRequest; answer: pfs.EgressResponse; stream: false };
  "pfs_v2.API/CreateProject": { request: pfs.CreateProjectRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/InspectProject": { request: pfs.InspectProjectRequest; answer: pfs.ProjectInfo; stream: false };
  "pfs_v2.API/InspectProjectV2": { request: pfs.InspectProjectV2Request; answer: pfs.InspectProjectV2Response; stream: false };
  "pfs_v2.API/ListProject": { request: pfs.ListProjectRequest; answer: pfs.ProjectInfo; stream: true };
  "pfs_v2.API/DeleteProject": { request: pfs.DeleteProjectRequest; answer: Record<string, never>; stream: false };
  "pfs_v2.API/ReposSummary": { request: pfs.ReposSummaryRequest; answer: pfs.ReposSummaryResponse; stream: false };
  "pfs_v2.API/ForgetCommit": { request: pfs.ForgetCommitRequest; answer: pfs.ForgetCommitResponse; stream: false };
  "pps_v2.API/InspectJob": { request: pps.InspectJobRequest; answer: pps.JobInfo; stream: false };
  "pps_v2.API/InspectJobSet": { request: pps.InspectJobSetRequest; answer: pps.JobInfo; stream: true };
  "pps_v2.API/ListJob": { request: pps.ListJobRequest; answer: pps.JobInfo; stream: true };
  "pps_v2.API/ListJobSet": { request: pps.ListJobSetRequest; answer: pps.JobSetInfo; stream: true };
  "pps_v2.API/SubscribeJob": { request: pps.SubscribeJobRequest; answer: pps.JobInfo; stream: true };
  "pps_v2.API/DeleteJob": { request: pps.DeleteJobRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/StopJob": { request: pps.StopJobRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/InspectDatum": { request: pps.InspectDatumRequest; answer: pps.DatumInfo; stream: false };
  "pps_v2.API/ListDatum": { request: pps.ListDatumRequest; answer: pps.DatumInfo; stream: true };
  "pps_v2.API/CreateDatum": { request: pps.CreateDatumRequest; answer: pps.DatumInfo; stream: true };
  "pps_v2.API/RestartDatum": { request: pps.RestartDatumRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/RerunPipeline": { request: pps.RerunPipelineRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/CreatePipeline": { request: pps.CreatePipelineRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/CreatePipelineV2": { request: pps.CreatePipelineV2Request; answer: pps.CreatePipelineV2Response; stream: false };
  "pps_v2.API/InspectPipeline": { request: pps.InspectPipelineRequest; answer: pps.PipelineInfo; stream: false };
  "pps_v2.API/ListPipeline": { request: pps.ListPipelineRequest; answer: pps.PipelineInfo; stream: true };
  "pps_v2.API/DeletePipeline": { request: pps.DeletePipelineRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/DeletePipelines": { request: pps.DeletePipelinesRequest; answer: pps.DeletePipelinesResponse; stream: false };
  "pps_v2.API/StartPipeline": { request: pps.StartPipelineRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/StopPipeline": { request: pps.StopPipelineRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/RunPipeline": { request: pps.RunPipelineRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/RunCron": { request: pps.RunCronRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/CheckStatus": { request: pps.CheckStatusRequest; answer: pps.CheckStatusResponse; stream: true };
  "pps_v2.API/CreateSecret": { request: pps.CreateSecretRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/DeleteSecret": { request: pps.DeleteSecretRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/ListSecret": { request: Record<string, never>; answer: pps.SecretInfos; stream: false };
  "pps_v2.API/InspectSecret": { request: pps.InspectSecretRequest; answer: pps.SecretInfo; stream: false };
  "pps_v2.API/DeleteAll": { request: Record<string, never>; answer: Record<string, never>; stream: false };
  "pps_v2.API/GetLogs": { request: pps.GetLogsRequest; answer: pps.LogMessage; stream: true };
  "pps_v2.API/ActivateAuth": { request: pps.ActivateAuthRequest; answer: pps.ActivateAuthResponse; stream: false };
  "pps_v2.API/UpdateJobState": { request: pps.UpdateJobStateRequest; answer: Record<string, never>; stream: false };
  "pps_v2.API/RunLoadTest": { request: pps.RunLoadTestRequest; answer: pps.RunLoadTestResponse; stream: false };
  "pps_v2.API/RunLoadTestDefault": { request: Record<string, never>; answer: pps.RunLoadTestResponse; stream: false };
  "pps_v2.API/RenderTemplate": { request: pps.RenderTemplateRequest; answer: pps.RenderTemplateResponse; stream: false };
  "pps_v2.API/ListTask": { request: taskapi.ListTaskRequest; answer: taskapi.TaskInfo; stream: true };
  "pps_v2.API/GetKubeEvents": { request: pps.LokiRequest; answer: pps.LokiLogMessage; stream: true };
  "pps_v2.API/QueryLoki": { request: pps.LokiRequest; answer: pps.LokiLogMessage; stream: true };
  "pps_v2.API/GetClusterDefaults": { request: pps.GetClusterDefaultsRequest; answer: pps.GetClusterDefaultsResponse; stream: false };
  "pps_v2.API/SetClusterDefaults": { request: pps.SetClusterDefaultsRequest; answer: pps.SetClusterDefaultsResponse; stream: false };
  "pps_v2.API/GetProjectDefaults": { request: pps.GetProjectDefaultsRequest; answer: pps.GetProjectDefaultsResponse; stream: false };
  "pps_v2.API/SetProjectDefaults": { request: pps.SetProjectDefaultsRequest; answer: pps.SetProjectDefaultsResponse; stream: false };
  "pps_v2.API/PipelinesSummary": { request: pps.PipelinesSummaryRequest; answer: pps.PipelinesSummaryResponse; stream: false };
  "metadata.API/EditMetadata": { request: metadata.EditMetadataRequest; answer: metadata.EditMetadataResponse; stream: false };
  "admin_v2.API/InspectCluster": { request: admin.InspectClusterRequest; answer: admin.ClusterInfo; stream: false };
  "admin_v2.API/RestartPachyderm": { request: admin.RestartPachydermRequest; answer: admin.RestartPachydermResponse; stream: false };
  "versionpb_v2.API/GetVersion": { request: Record<string, never>; answer: versionpb.Version; stream: false };
  "trunkline.console.v1.Console/InspectOverview": { request: console.InspectOverviewRequest; answer: console.Overview; stream: false };
  "trunkline.console.v1.Console/InspectGraph": { request: console.InspectGraphRequest; answer: console.Graph; stream: false };
  "trunkline.console.v1.Console/ListRepoRow": { request: console.ListRepoRowRequest; answer: console.RepoRows; stream: false };
  "trunkline.console.v1.Console/ListJobRow": { request: console.ListJobRowRequest; answer: console.JobRowPage; stream: false };
  "trunkline.console.v1.Console/ListRun": { request: console.ListRunRequest; answer: console.RunPage; stream: false };
  "trunkline.console.v1.Console/InspectScaling": { request: console.InspectScalingRequest; answer: console.Scaling; stream: false };
  "trunkline.console.v1.Console/Search": { request: console.SearchRequest; answer: console.SearchResponse; stream: false };
  "trunkline.console.v1.Console/FindDeletion": { request: console.FindDeletionRequest; answer: console.Deletion; stream: false };
  "trunkline.console.v1.Console/InspectServer": { request: console.InspectServerRequest; answer: console.ServerInfo; stream: false };
  "trunkline.console.v1.Console/InspectDatums": { request: console.InspectDatumsRequest; answer: console.DatumSummary; stream: false };
  "trunkline.console.v1.Console/ListDatumRow": { request: console.ListDatumRowRequest; answer: console.DatumRowPage; stream: false };
  "trunkline.console.v1.Console/InspectTimeline": { request: console.InspectTimelineRequest; answer: console.Timeline; stream: false };
  "trunkline.console.v1.Console/CompareJobs": { request: console.CompareJobsRequest; answer: console.JobComparison; stream: false };
  "trunkline.console.v1.Console/ReadLog": { request: console.ReadLogRequest; answer: console.LogWindow; stream: false };
  "trunkline.console.v1.Console/SearchLog": { request: console.SearchLogRequest; answer: console.LogHits; stream: true };
  "trunkline.console.v1.Console/InspectLog": { request: console.InspectLogRequest; answer: console.LogHistogram; stream: false };
  "trunkline.console.v1.Console/ListFolder": { request: console.ListFolderRequest; answer: console.FolderPage; stream: false };
  "trunkline.console.v1.Console/CompareFolders": { request: console.CompareFoldersRequest; answer: console.FolderComparison; stream: false };
  "trunkline.console.v1.Console/ListFileVersion": { request: console.ListFileVersionRequest; answer: console.FileVersionPage; stream: false };
  "trunkline.control.v1.Control/ListWorker": { request: control.ListWorkerRequest; answer: control.WorkerInfo; stream: true };
  "trunkline.control.v1.Control/ListMachine": { request: control.ListMachineRequest; answer: control.MachineInfo; stream: true };
  "trunkline.control.v1.Control/ListCost": { request: control.ListCostRequest; answer: control.CostInfo; stream: true };
  "trunkline.control.v1.Control/ExplainPipeline": { request: control.ExplainPipelineRequest; answer: control.Decision; stream: true };
  "trunkline.control.v1.Control/CreateImage": { request: control.CreateImageRequest; answer: control.ImageInfo; stream: false };
  "trunkline.control.v1.Control/ListImage": { request: control.ListImageRequest; answer: control.ImageInfo; stream: true };
  "trunkline.control.v1.Control/DeleteImage": { request: control.DeleteImageRequest; answer: control.DeleteImageResponse; stream: false };
  "trunkline.control.v1.Control/InspectProgress": { request: control.InspectProgressRequest; answer: control.JobProgress; stream: false };
  "trunkline.control.v1.Control/InspectStorage": { request: control.InspectStorageRequest; answer: control.StorageInfo; stream: false };
  "trunkline.control.v1.Control/Apply": { request: control.ApplyRequest; answer: control.ApplyResponse; stream: false };
  "trunkline.control.v1.Control/PlanUpdate": { request: control.PlanUpdateRequest; answer: control.UpdatePlan; stream: false };
  "trunkline.control.v1.Control/CheckSpec": { request: control.CheckSpecRequest; answer: control.SpecCheck; stream: false };
  "trunkline.control.v1.Control/WatchEvents": { request: control.WatchEventsRequest; answer: control.Event; stream: true };
  "trunkline.control.v1.Control/InspectEventLog": { request: control.InspectEventLogRequest; answer: control.EventLog; stream: false };
  "trunkline.explain.v1.Explain/ExplainDatum": { request: explain.ExplainDatumRequest; answer: explain.DatumExplanation; stream: false };
  "trunkline.explain.v1.Explain/ExplainJob": { request: explain.ExplainJobRequest; answer: explain.JobExplanation; stream: false };
  "trunkline.explain.v1.Explain/ExplainState": { request: explain.ExplainStateRequest; answer: explain.StateExplanation; stream: false };
  "trunkline.explain.v1.Explain/ExplainFile": { request: explain.ExplainFileRequest; answer: explain.LineageStep; stream: true };
  "trunkline.explain.v1.Explain/Recommend": { request: explain.RecommendRequest; answer: explain.Recommendation; stream: false };
  "trunkline.machines.v1.Machines/Report": { request: machines.ReportRequest; answer: machines.ReportResponse; stream: false };
  "trunkline.machines.v1.Machines/CreateWorkerToken": { request: machines.CreateWorkerTokenRequest; answer: machines.WorkerTokenInfo; stream: false };
  "trunkline.machines.v1.Machines/ListWorkerToken": { request: machines.ListWorkerTokenRequest; answer: machines.WorkerTokenInfo; stream: true };
  "trunkline.machines.v1.Machines/RevokeWorkerToken": { request: machines.RevokeWorkerTokenRequest; answer: machines.RevokeWorkerTokenResponse; stream: false };
}
