CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS uuid
    LANGUAGE sql STABLE
    AS $$SELECT NULL::uuid$$;
CREATE FUNCTION public.trigger_set_timestamp() RETURNS trigger
    LANGUAGE plpgsql
    AS $$BEGIN NEW.updated_at = now(); RETURN NEW; END$$;
CREATE TABLE public.company_knowledge (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    title text NOT NULL,
    pipeline_stage_id uuid
);
CREATE TABLE public.crm_accounts (
    connection_id uuid NOT NULL,
    external_id text NOT NULL,
    name text,
    subdomain text,
    country text,
    currency text,
    timezone text,
    remote_created_at timestamp with time zone,
    remote_updated_at timestamp with time zone,
    fetched_at timestamp with time zone,
    seen_at timestamp with time zone,
    gone_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deleted_source text,
    changed_at timestamp with time zone NOT NULL,
    seen_run text,
    content_hash text,
    raw jsonb
);
CREATE TABLE public.crm_companies (
    connection_id uuid NOT NULL,
    external_id text NOT NULL,
    name text,
    responsible_user_id text,
    group_id text,
    created_by text,
    updated_by text,
    closest_task_at timestamp with time zone,
    remote_created_at timestamp with time zone,
    remote_updated_at timestamp with time zone,
    fetched_at timestamp with time zone,
    seen_at timestamp with time zone,
    gone_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deleted_source text,
    changed_at timestamp with time zone NOT NULL,
    seen_run text,
    content_hash text,
    raw jsonb
);
CREATE TABLE public.crm_connection_states (
    connection_id uuid NOT NULL,
    token_version bigint NOT NULL,
    api_domain text,
    reauth_reason text,
    reauth_at timestamp with time zone,
    refused_fingerprint text,
    refreshed_at timestamp with time zone,
    webhook_secret text,
    old_webhook_secret text,
    old_webhook_secret_until timestamp with time zone,
    settings jsonb
);
CREATE TABLE public.crm_connections (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    provider text DEFAULT 'kommo'::text NOT NULL,
    base_domain text NOT NULL,
    access_token text NOT NULL,
    refresh_token text,
    expires_at timestamp with time zone,
    scope text[],
    account_id text,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now()
);
CREATE TABLE public.crm_contacts (
    connection_id uuid NOT NULL,
    external_id text NOT NULL,
    name text,
    responsible_user_id text,
    group_id text,
    created_by text,
    updated_by text,
    closest_task_at timestamp with time zone,
    first_name text,
    last_name text,
    remote_created_at timestamp with time zone,
    remote_updated_at timestamp with time zone,
    fetched_at timestamp with time zone,
    seen_at timestamp with time zone,
    gone_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deleted_source text,
    changed_at timestamp with time zone NOT NULL,
    seen_run text,
    content_hash text,
    raw jsonb
);
CREATE TABLE public.crm_credentials (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    provider text DEFAULT 'kommo'::text NOT NULL,
    client_id text NOT NULL,
    client_secret text NOT NULL,
    redirect_uri text,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now()
);
CREATE TABLE public.crm_cursors (
    connection_id uuid NOT NULL,
    entity text NOT NULL,
    cursor_at timestamp with time zone,
    checkpoint jsonb,
    full_walk_at timestamp with time zone,
    swept_at timestamp with time zone,
    last_run_at timestamp with time zone,
    last_error text,
    sweep_error text,
    rows_written bigint NOT NULL,
    requests bigint NOT NULL
);
CREATE TABLE public.crm_custom_fields (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    connection_id uuid NOT NULL,
    external_id text NOT NULL,
    entity_type text NOT NULL,
    name text NOT NULL,
    field_type text NOT NULL,
    code text,
    is_required boolean DEFAULT false,
    is_editable boolean DEFAULT true,
    is_visible boolean DEFAULT true,
    is_deletable boolean DEFAULT true,
    is_api_only boolean DEFAULT false,
    sort_order integer DEFAULT 0,
    enums jsonb,
    settings jsonb DEFAULT '{}'::jsonb,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now()
);
CREATE TABLE public.crm_dirty (
    connection_id uuid NOT NULL,
    entity text NOT NULL,
    external_id text NOT NULL,
    action text NOT NULL,
    hinted_at timestamp with time zone,
    marked_at timestamp with time zone NOT NULL,
    source text,
    mark text NOT NULL
);
CREATE TABLE public.crm_events (
    connection_id uuid NOT NULL,
    external_id text NOT NULL,
    name text,
    type text,
    entity_type text,
    entity_id text,
    created_by text,
    remote_created_at timestamp with time zone,
    remote_updated_at timestamp with time zone,
    fetched_at timestamp with time zone,
    seen_at timestamp with time zone,
    gone_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deleted_source text,
    changed_at timestamp with time zone NOT NULL,
    seen_run text,
    content_hash text,
    raw jsonb
);
CREATE TABLE public.crm_hooks (
    connection_id uuid NOT NULL,
    body_hash text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    content_type text,
    body text NOT NULL,
    expanded_at timestamp with time zone,
    error text
);
CREATE TABLE public.crm_leads (
    connection_id uuid NOT NULL,
    external_id text NOT NULL,
    name text,
    responsible_user_id text,
    group_id text,
    created_by text,
    updated_by text,
    closest_task_at timestamp with time zone,
    price double precision,
    status_id text,
    pipeline_id text,
    loss_reason_id text,
    source_id text,
    closed_at timestamp with time zone,
    score bigint,
    labor_cost bigint,
    remote_created_at timestamp with time zone,
    remote_updated_at timestamp with time zone,
    fetched_at timestamp with time zone,
    seen_at timestamp with time zone,
    gone_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deleted_source text,
    changed_at timestamp with time zone NOT NULL,
    seen_run text,
    content_hash text,
    raw jsonb
);
CREATE TABLE public.crm_leases (
    scope text NOT NULL,
    holder text NOT NULL,
    held_until timestamp with time zone NOT NULL
);
CREATE TABLE public.crm_links (
    connection_id uuid NOT NULL,
    from_type text NOT NULL,
    from_id text NOT NULL,
    to_type text NOT NULL,
    to_id text NOT NULL,
    is_main boolean
);
CREATE TABLE public.crm_notes (
    connection_id uuid NOT NULL,
    entity_type text NOT NULL,
    external_id text NOT NULL,
    name text,
    note_type text,
    text text,
    entity_id text,
    responsible_user_id text,
    group_id text,
    created_by text,
    updated_by text,
    remote_created_at timestamp with time zone,
    remote_updated_at timestamp with time zone,
    fetched_at timestamp with time zone,
    seen_at timestamp with time zone,
    gone_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deleted_source text,
    changed_at timestamp with time zone NOT NULL,
    seen_run text,
    content_hash text,
    raw jsonb
);
CREATE TABLE public.crm_outbox (
    id uuid NOT NULL,
    connection_id uuid NOT NULL,
    key text NOT NULL,
    kind text NOT NULL,
    entity_type text,
    entity_id text,
    payload jsonb NOT NULL,
    state text NOT NULL,
    marker text NOT NULL,
    attempts integer NOT NULL,
    remote_id text,
    error text,
    created_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    missed_at timestamp with time zone,
    finished_at timestamp with time zone
);
CREATE TABLE public.crm_pipeline_stages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    pipeline_id uuid NOT NULL,
    external_id text NOT NULL,
    name text NOT NULL,
    sort_order integer DEFAULT 0,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now()
);
CREATE TABLE public.crm_pipelines (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    connection_id uuid NOT NULL,
    external_id text NOT NULL,
    name text NOT NULL,
    is_active boolean DEFAULT true,
    sort_order integer DEFAULT 0,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now()
);
CREATE TABLE public.crm_row_versions (
    connection_id uuid NOT NULL,
    entity text NOT NULL,
    external_id text NOT NULL,
    name text,
    local_id uuid,
    remote_created_at timestamp with time zone,
    remote_updated_at timestamp with time zone,
    fetched_at timestamp with time zone,
    seen_at timestamp with time zone,
    gone_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deleted_source text,
    changed_at timestamp with time zone NOT NULL,
    seen_run text,
    content_hash text,
    raw jsonb
);
CREATE TABLE public.crm_tags (
    connection_id uuid NOT NULL,
    entity_type text NOT NULL,
    external_id text NOT NULL,
    name text,
    color text,
    remote_created_at timestamp with time zone,
    remote_updated_at timestamp with time zone,
    fetched_at timestamp with time zone,
    seen_at timestamp with time zone,
    gone_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deleted_source text,
    changed_at timestamp with time zone NOT NULL,
    seen_run text,
    content_hash text,
    raw jsonb
);
CREATE TABLE public.crm_tasks (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    task_id text NOT NULL,
    entity_id text NOT NULL,
    entity_type text NOT NULL,
    task_text text NOT NULL,
    task_type_id integer,
    complete_till timestamp with time zone,
    responsible_user_id integer,
    is_completed boolean DEFAULT false NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.crm_users (
    connection_id uuid NOT NULL,
    external_id text NOT NULL,
    name text,
    email text,
    lang text,
    is_admin boolean,
    is_active boolean,
    group_id text,
    role_id text,
    remote_created_at timestamp with time zone,
    remote_updated_at timestamp with time zone,
    fetched_at timestamp with time zone,
    seen_at timestamp with time zone,
    gone_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deleted_source text,
    changed_at timestamp with time zone NOT NULL,
    seen_run text,
    content_hash text,
    raw jsonb
);
CREATE TABLE public.knowledge_pipeline_mapping (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    knowledge_id uuid,
    pipeline_stage_id uuid NOT NULL
);
CREATE TABLE public.oauth_states (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    provider text DEFAULT 'kommo'::text NOT NULL,
    state text NOT NULL,
    redirect_uri text NOT NULL,
    base_domain text NOT NULL,
    created_at timestamp with time zone DEFAULT now(),
    expires_at timestamp with time zone DEFAULT (now() + '00:15:00'::interval) NOT NULL
);
CREATE TABLE public.organization_members (
    org_id uuid NOT NULL,
    user_id uuid NOT NULL
);
CREATE TABLE public.organizations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    slug text NOT NULL,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now()
);
CREATE TABLE public.sales_scripts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    title text NOT NULL,
    pipeline_stage_id uuid
);
CREATE TABLE public.webhook_events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    org_id uuid NOT NULL,
    provider text NOT NULL,
    event_type text NOT NULL,
    payload jsonb NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    error text,
    created_at timestamp with time zone DEFAULT now(),
    processed_at timestamp with time zone,
    retry_count integer DEFAULT 0,
    max_retries integer DEFAULT 3,
    next_retry_at timestamp with time zone,
    processing_started_at timestamp with time zone,
    event_subtype text,
    entity_id text,
    entity_type text,
    execution_context jsonb DEFAULT '{}'::jsonb,
    CONSTRAINT webhook_events_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'processing'::text, 'completed'::text, 'failed'::text, 'retrying'::text])))
);
INSERT INTO public.crm_accounts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '31000001', 'Demo', 'demo', 'ES', 'EUR', 'Europe/Madrid', '2024-12-31 00:00:00+00', '2024-12-31 00:00:00+00', '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.876332+00', NULL, '4721a8342164238476ab0a3466b4b8051ba365ee415f8be568d60f29ed3fb3bd', '{"id": 31000001, "name": "Demo", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/account"}}, "country": "ES", "version": 12, "amojo_id": "00000000-0000-4000-8000-000031000001", "currency": "EUR", "_embedded": {"task_types": [{"id": 1, "code": "FOLLOW_UP", "name": "Follow up", "color": null, "icon_id": null}], "users_groups": [{"id": 0, "name": "Sales", "uuid": null}], "datetime_settings": {"timezone": "Europe/Madrid", "date_pattern": "d.m.Y H:i", "timezone_offset": "+01:00"}}, "drive_url": "https://drive-c.kommo.com", "subdomain": "demo", "created_at": 1735603200, "created_by": 0, "updated_at": 1735603200, "updated_by": 0, "customers_mode": "disabled", "is_unsorted_on": true, "currency_symbol": "€", "current_user_id": 8000001, "is_helpbot_enabled": false, "is_technical_account": false, "is_api_filter_enabled": true, "is_loss_reason_enabled": true, "contact_name_display_order": 1}');
INSERT INTO public.crm_companies VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '40000001', 'Travel 1', '8000003', NULL, '8000003', '8000003', NULL, '2025-01-01 00:00:00+00', '2025-01-10 20:57:22+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.141057+00', NULL, '523962e5e407da7cdc28b1bbe74a902bfa317db3462a99f4fea3f01a7a822bdd', '{"id": 40000001, "name": "Travel 1", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/companies/40000001"}}, "group_id": 0, "_embedded": {"tags": []}, "account_id": 31000001, "created_at": 1735689600, "created_by": 8000003, "is_deleted": false, "updated_at": 1736542642, "updated_by": 8000003, "closest_task_at": null, "responsible_user_id": 8000003, "custom_fields_values": null}');
INSERT INTO public.crm_connection_states VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"name": "Demo", "country": "ES", "currency": "EUR", "timezone": "Europe/Madrid", "subdomain": "demo", "created_at": 1735603200, "unfiltered": [], "current_user_id": 8000001, "timezone_offset": "+01:00", "filters_supported": true, "is_api_filter_enabled": true}');
INSERT INTO public.crm_connections VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '7b1d1e5c-6a0e-4f0e-9a53-0d1f6f7b2a10', 'kommo', 'demo.kommo.com', 'access-0', 'refresh-0', '2026-12-01 10:56:38.845434+00', NULL, '31000001', '{"sync": {"status": "done"}}', '2026-12-01 09:56:38.848346+00', '2026-12-01 09:56:38.874588+00');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000001', 'Jan García', '8000002', NULL, '8000002', '8000002', NULL, 'Jan', 'García', '2025-01-01 00:00:00+00', '2025-12-01 00:00:00+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, '9fba9cc325ba497896ad8463958ac2972753abc1fcd777be80ee4de2fe39fb4a', '{"id": 30000001, "name": "Jan García", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000001"}}, "group_id": 0, "_embedded": {"tags": [], "companies": []}, "last_name": "García", "account_id": 31000001, "created_at": 1735689600, "created_by": 8000002, "first_name": "Jan", "is_deleted": false, "updated_at": 1764547200, "updated_by": 8000002, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000002, "custom_fields_values": null}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000002', 'Chloé O''Neil', '8000004', NULL, '8000004', '8000004', NULL, 'Chloé', 'O''Neil', '2025-01-26 08:00:00+00', '2025-02-15 04:29:08+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, '158384d87e0f2d0ad2ad404e23a3a8ad66ec893a994aeac316dc0b622a45e552', '{"id": 30000002, "name": "Chloé O''Neil", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000002"}}, "group_id": 0, "_embedded": {"tags": [{"id": 11, "name": "site", "color": null}], "companies": []}, "last_name": "O''Neil", "account_id": 31000001, "created_at": 1737878400, "created_by": 8000004, "first_name": "Chloé", "is_deleted": false, "updated_at": 1739593748, "updated_by": 8000004, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000004, "custom_fields_values": [{"values": [{"value": "+34600000001", "enum_id": 552476, "enum_code": "WORK"}], "field_id": 771906, "field_code": "PHONE", "field_name": "Phone", "field_type": "multitext"}, {"values": [{"value": "contact1@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000003', 'Dmitri Öztürk', '8000004', NULL, '8000004', '8000004', NULL, 'Dmitri', 'Öztürk', '2025-02-20 16:00:00+00', '2025-03-05 14:58:38+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, '4bf70ed8b44622a45e63331e63f223b89c533e11b2aea037251984d0796a0073', '{"id": 30000003, "name": "Dmitri Öztürk", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000003"}}, "group_id": 0, "_embedded": {"tags": [], "companies": []}, "last_name": "Öztürk", "account_id": 31000001, "created_at": 1740067200, "created_by": 8000004, "first_name": "Dmitri", "is_deleted": false, "updated_at": 1741186718, "updated_by": 8000004, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000004, "custom_fields_values": [{"values": [{"value": "contact2@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000005', 'Elif Novak', '8000005', NULL, '8000005', '8000005', NULL, 'Elif', 'Novak', '2025-04-12 08:00:00+00', '2025-04-24 18:17:04+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, 'b1406a29dce96958a74f1216a0513c6f669e79dd818694fab5ffac8bf5de2955', '{"id": 30000005, "name": "Elif Novak", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000005"}}, "group_id": 0, "_embedded": {"tags": [], "companies": []}, "last_name": "Novak", "account_id": 31000001, "created_at": 1744444800, "created_by": 8000005, "first_name": "Elif", "is_deleted": false, "updated_at": 1745518624, "updated_by": 8000005, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000005, "custom_fields_values": [{"values": [{"value": "+34600000004", "enum_id": 552476, "enum_code": "WORK"}], "field_id": 771906, "field_code": "PHONE", "field_name": "Phone", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000006', 'Hugo O''Neil', '8000003', NULL, '8000003', '8000003', NULL, 'Hugo', 'O''Neil', '2025-05-07 16:00:00+00', '2025-05-24 23:00:12+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, '1a1cb93b1bcdca55dee05c6818ed214af22344f4dec3165479e336caba93909d', '{"id": 30000006, "name": "Hugo O''Neil", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000006"}}, "group_id": 0, "_embedded": {"tags": [], "companies": []}, "last_name": "O''Neil", "account_id": 31000001, "created_at": 1746633600, "created_by": 8000003, "first_name": "Hugo", "is_deleted": false, "updated_at": 1748127612, "updated_by": 8000003, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000003, "custom_fields_values": [{"values": [{"value": "+34600000005", "enum_id": 552476, "enum_code": "WORK"}], "field_id": 771906, "field_code": "PHONE", "field_name": "Phone", "field_type": "multitext"}, {"values": [{"value": "contact5@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000007', 'Ines Costa', '8000002', NULL, '8000002', '8000002', NULL, 'Ines', 'Costa', '2025-06-02 00:00:00+00', '2025-06-06 01:14:11+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, '8a5d0041c0e4a6e9a2ac7fcdff07812fb37f1cb102f972736bc4bafcc38d2f01', '{"id": 30000007, "name": "Ines Costa", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000007"}}, "group_id": 0, "_embedded": {"tags": [{"id": 12, "name": "fair", "color": null}], "companies": [{"id": 40000001, "_links": []}]}, "last_name": "Costa", "account_id": 31000001, "created_at": 1748822400, "created_by": 8000002, "first_name": "Ines", "is_deleted": false, "updated_at": 1749172451, "updated_by": 8000002, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000002, "custom_fields_values": [{"values": [{"value": "contact6@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000008', 'Léo Иванова', '8000003', NULL, '8000003', '8000003', NULL, 'Léo', 'Иванова', '2025-06-27 08:00:00+00', '2025-07-06 11:26:42+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, '9565bdabfd280783c5395a56f6b76da43931c2939bff26bdc22fa13d645c193d', '{"id": 30000008, "name": "Léo Иванова", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000008"}}, "group_id": 0, "_embedded": {"tags": [{"id": 12, "name": "fair", "color": null}], "companies": []}, "last_name": "Иванова", "account_id": 31000001, "created_at": 1751011200, "created_by": 8000003, "first_name": "Léo", "is_deleted": false, "updated_at": 1751801202, "updated_by": 8000003, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000003, "custom_fields_values": [{"values": [{"value": "+34600000007", "enum_id": 552476, "enum_code": "WORK"}], "field_id": 771906, "field_code": "PHONE", "field_name": "Phone", "field_type": "multitext"}, {"values": [{"value": "contact7@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000009', 'Ben Novak', '8000001', NULL, '8000001', '8000001', NULL, 'Ben', 'Novak', '2025-07-22 16:00:00+00', '2025-07-31 07:00:00+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, '3691cce76d39e81797b114177ea85e6815e9aa33d0a578675d242b0b2a5dfe72', '{"id": 30000009, "name": "Ben Novak", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000009"}}, "group_id": 0, "_embedded": {"tags": [{"id": 11, "name": "site", "color": null}], "companies": []}, "last_name": "Novak", "account_id": 31000001, "created_at": 1753200000, "created_by": 8000001, "first_name": "Ben", "is_deleted": false, "updated_at": 1753945200, "updated_by": 8000001, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000001, "custom_fields_values": [{"values": [{"value": "+34600000008", "enum_id": 552476, "enum_code": "WORK"}], "field_id": 771906, "field_code": "PHONE", "field_name": "Phone", "field_type": "multitext"}, {"values": [{"value": "contact8@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000010', 'Farid Ruiz', '8000001', NULL, '8000001', '8000001', NULL, 'Farid', 'Ruiz', '2025-08-17 00:00:00+00', '2025-08-17 23:00:00+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, '3059c109d4d429bb7799e52953b6a00a62126eaa6fad0c2aa8274b13399ec186', '{"id": 30000010, "name": "Farid Ruiz", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000010"}}, "group_id": 0, "_embedded": {"tags": [], "companies": [{"id": 40000001, "_links": []}]}, "last_name": "Ruiz", "account_id": 31000001, "created_at": 1755388800, "created_by": 8000001, "first_name": "Farid", "is_deleted": false, "updated_at": 1755471600, "updated_by": 8000001, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000001, "custom_fields_values": [{"values": [{"value": "+34600000009", "enum_id": 552476, "enum_code": "WORK"}], "field_id": 771906, "field_code": "PHONE", "field_name": "Phone", "field_type": "multitext"}, {"values": [{"value": "contact9@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000011', 'Jan Costa', '8000003', NULL, '8000003', '8000003', NULL, 'Jan', 'Costa', '2025-09-11 08:00:00+00', '2025-09-17 21:29:37+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, '67a010bb456e15453adccd290d07148c5e800f0716e200d9bd1a48d47c5f58e5', '{"id": 30000011, "name": "Jan Costa", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000011"}}, "group_id": 0, "_embedded": {"tags": [], "companies": [{"id": 40000001, "_links": []}]}, "last_name": "Costa", "account_id": 31000001, "created_at": 1757577600, "created_by": 8000003, "first_name": "Jan", "is_deleted": false, "updated_at": 1758144577, "updated_by": 8000003, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000003, "custom_fields_values": [{"values": [{"value": "+34600000010", "enum_id": 552476, "enum_code": "WORK"}], "field_id": 771906, "field_code": "PHONE", "field_name": "Phone", "field_type": "multitext"}, {"values": [{"value": "contact10@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000012', 'Ines García', '8000001', NULL, '8000001', '8000001', NULL, 'Ines', 'García', '2025-10-06 16:00:00+00', '2025-10-09 17:00:00+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.283236+00', NULL, 'cfe8d9cf62a329cbdc1889683f9ac3c3498ca336b5ad6bd8bdd33d56e63316a8', '{"id": 30000012, "name": "Ines García", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000012"}}, "group_id": 0, "_embedded": {"tags": [], "companies": [{"id": 40000001, "_links": []}]}, "last_name": "García", "account_id": 31000001, "created_at": 1759766400, "created_by": 8000001, "first_name": "Ines", "is_deleted": false, "updated_at": 1760029200, "updated_by": 8000001, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000001, "custom_fields_values": [{"values": [{"value": "contact11@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_contacts VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '30000004', 'Greta O''Neil', '8000005', NULL, '8000005', '8000005', NULL, 'Greta', 'O''Neil', '2025-03-18 00:00:00+00', '2025-04-04 19:58:14+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', '2026-09-21 14:30:00+00', '2026-09-21 14:30:00+00', 'event', '2026-12-01 09:56:41.450404+00', NULL, 'f9b24d6860a440dbe724a4f31bf68096cb713b5548425522ba423e9b44119651', '{"id": 30000004, "name": "Greta O''Neil", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/contacts/30000004"}}, "group_id": 0, "_embedded": {"tags": [{"id": 12, "name": "fair", "color": null}], "companies": []}, "last_name": "O''Neil", "account_id": 31000001, "created_at": 1742256000, "created_by": 8000005, "first_name": "Greta", "is_deleted": false, "updated_at": 1743796694, "updated_by": 8000005, "is_unsorted": false, "closest_task_at": null, "responsible_user_id": 8000005, "custom_fields_values": [{"values": [{"value": "+34600000003", "enum_id": 552476, "enum_code": "WORK"}], "field_id": 771906, "field_code": "PHONE", "field_name": "Phone", "field_type": "multitext"}, {"values": [{"value": "contact3@example.com", "enum_id": 552480, "enum_code": "WORK"}], "field_id": 771908, "field_code": "EMAIL", "field_name": "Email", "field_type": "multitext"}]}');
INSERT INTO public.crm_credentials VALUES ('96a6fa9f-8e8a-4507-972d-1fecd41130c7', '7b1d1e5c-6a0e-4f0e-9a53-0d1f6f7b2a10', 'kommo', 'client', 'client-secret', 'https://platform.example/callback', '2026-12-01 09:56:38.848346+00', '2026-12-01 09:56:38.848346+00');
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'account', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:46:40+00', NULL, '2026-12-01 09:56:41.533056+00', NULL, NULL, 1, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'pipelines', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:46:40+00', NULL, '2026-12-01 09:56:41.60106+00', NULL, NULL, 16, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'users', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:46:40+00', NULL, '2026-12-01 09:56:41.660849+00', NULL, NULL, 5, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'companies', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:13:20+00', NULL, '2026-12-01 09:56:41.669688+00', NULL, NULL, 1, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:13:20+00', NULL, '2026-12-01 09:56:41.684894+00', NULL, NULL, 13, 4);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:13:20+00', NULL, '2026-12-01 09:56:41.741612+00', NULL, NULL, 12, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'tasks', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:13:20+00', NULL, '2026-12-01 09:56:41.804903+00', NULL, NULL, 3, 4);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads_notes', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:13:20+00', NULL, '2026-12-01 09:56:41.864822+00', NULL, NULL, 2, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts_notes', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:13:20+00', NULL, '2026-12-01 09:56:41.873285+00', NULL, NULL, 0, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'companies_notes', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:13:20+00', NULL, '2026-12-01 09:56:41.881287+00', NULL, NULL, 0, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads_custom_fields', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:46:40+00', NULL, '2026-12-01 09:56:41.949052+00', NULL, NULL, 3, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts_custom_fields', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:46:40+00', NULL, '2026-12-01 09:56:42.027628+00', NULL, NULL, 2, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'companies_custom_fields', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:46:40+00', NULL, '2026-12-01 09:56:42.100555+00', NULL, NULL, 0, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads_tags', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:46:40+00', NULL, '2026-12-01 09:56:42.154299+00', NULL, NULL, 4, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts_tags', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:46:40+00', NULL, '2026-12-01 09:56:42.224061+00', NULL, NULL, 4, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'companies_tags', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:46:40+00', NULL, '2026-12-01 09:56:42.287514+00', NULL, NULL, 4, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'events', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:13:20+00', NULL, '2026-12-01 09:56:42.347557+00', NULL, NULL, 6, 3);
INSERT INTO public.crm_cursors VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'deleted_leads', '2026-09-21 14:46:40+00', NULL, '2026-09-21 14:13:20+00', NULL, '2026-12-01 09:56:42.451662+00', NULL, NULL, 0, 3);
INSERT INTO public.crm_custom_fields VALUES ('be3ce573-2de3-4733-99d7-f95122dc3567', '5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '1016236', 'lead', 'Client type', 'select', NULL, false, true, true, true, false, 500, '{"867968": "New", "867970": "Regular", "867972": "Partner"}', '{}', '{}', '2026-12-01 09:56:39.723959+00', '2026-12-01 09:56:39.723959+00');
INSERT INTO public.crm_custom_fields VALUES ('acce73a9-f5f8-46c8-a127-77a3edf6b40b', '5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '1016240', 'lead', 'Contract date', 'date', NULL, false, true, true, true, false, 501, NULL, '{}', '{}', '2026-12-01 09:56:39.723959+00', '2026-12-01 09:56:39.723959+00');
INSERT INTO public.crm_custom_fields VALUES ('647a7a20-d7d1-4230-9fd4-04e49bc7c9c7', '5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '771906', 'contact', 'Phone', 'multitext', 'PHONE', false, true, true, false, false, 500, NULL, '{}', '{}', '2026-12-01 09:56:39.801947+00', '2026-12-01 09:56:39.801947+00');
INSERT INTO public.crm_custom_fields VALUES ('da73b9f6-3922-4677-9bbf-10ad1be84f6b', '5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '771908', 'contact', 'Email', 'multitext', 'EMAIL', false, true, true, false, false, 501, NULL, '{}', '{}', '2026-12-01 09:56:39.801947+00', '2026-12-01 09:56:39.801947+00');
INSERT INTO public.crm_custom_fields VALUES ('3c445b34-8a6e-4d86-a251-da03707d2615', '5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '1016244', 'lead', 'Source', 'radiobutton', NULL, false, true, true, true, false, 502, '{"566640": "Site", "566642": "Fair"}', '{}', '{"deleted_at": "2026-09-21T14:30:00+00:00"}', '2026-12-01 09:56:39.723959+00', '2026-12-01 09:56:41.025053+00');
INSERT INTO public.crm_events VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '010e75473ffce06e3500000001', NULL, 'sale_field_changed', 'lead', '20000003', NULL, '2026-09-21 14:30:00+00', NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:41.399281+00', NULL, '9eb8071f32051b563d57e3bed8a67d0cecefebae40cff1d8c243c4c05d240d64', '{"id": "010e75473ffce06e3500000001", "type": "sale_field_changed", "_links": [], "_embedded": {"entity": {"id": 20000003, "_links": []}}, "entity_id": 20000003, "account_id": 31000001, "created_at": 1790001000, "created_by": 0, "entity_type": "lead", "value_after": [], "value_before": [{"price": 38802}]}');
INSERT INTO public.crm_events VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '01843f748672c9c4e500000003', NULL, 'task_deleted', 'task', '7000001', NULL, '2026-09-21 14:30:00+00', NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:41.399281+00', NULL, '46b40bab4aeb0953d01c20454db948465c0855bda9eff9da0bbf433afedf952d', '{"id": "01843f748672c9c4e500000003", "type": "task_deleted", "_links": [], "_embedded": {"entity": {"id": 7000001, "_links": []}}, "entity_id": 7000001, "account_id": 31000001, "created_at": 1790001000, "created_by": 0, "entity_type": "task", "value_after": [], "value_before": []}');
INSERT INTO public.crm_events VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '0199240a05a183025b00000004', NULL, 'task_added', 'task', '7000002', NULL, '2026-09-21 14:30:00+00', NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:41.399281+00', NULL, '71dc526ce187f977b99ad473aae980ae66f38dfbf7458d2ba86ee5d0bd89f3ba', '{"id": "0199240a05a183025b00000004", "type": "task_added", "_links": [], "_embedded": {"entity": {"id": 7000002, "_links": []}}, "entity_id": 7000002, "account_id": 31000001, "created_at": 1790001000, "created_by": 0, "entity_type": "task", "value_after": [], "value_before": []}');
INSERT INTO public.crm_events VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '01a86206917625d54400000005', NULL, 'common_note_added', 'lead', '20000001', NULL, '2026-09-21 14:30:00+00', NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:41.399281+00', NULL, 'f890d0db3dde87b0fcac14b8bcd4da59eaf21d8c6fc6995c53c8d6d1a06bbce3', '{"id": "01a86206917625d54400000005", "type": "common_note_added", "_links": [], "_embedded": {"entity": {"id": 20000001, "_links": []}}, "entity_id": 20000001, "account_id": 31000001, "created_at": 1790001000, "created_by": 0, "entity_type": "lead", "value_after": [], "value_before": []}');
INSERT INTO public.crm_events VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '01cd016676f25346ef00000000', NULL, 'lead_status_changed', 'lead', '20000002', NULL, '2026-09-21 14:30:00+00', NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:41.399281+00', NULL, 'abb8796d122fd49fafc999ce36346090b022f73649944bc84fb10d012814e3cb', '{"id": "01cd016676f25346ef00000000", "type": "lead_status_changed", "_links": [], "_embedded": {"entity": {"id": 20000002, "_links": []}}, "entity_id": 20000002, "account_id": 31000001, "created_at": 1790001000, "created_by": 0, "entity_type": "lead", "value_after": [{"lead_status": {"id": 142, "pipeline_id": 6950552}}], "value_before": [{"lead_status": {"id": 58141810, "pipeline_id": 6950552}}]}');
INSERT INTO public.crm_events VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '01ff2febab592a184100000002', NULL, 'contact_deleted', 'contact', '30000004', NULL, '2026-09-21 14:30:00+00', NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:41.399281+00', NULL, '252cd1463b72a55a4639ab69504be47358fbfa62c6a8429295a0708abbc4fba7', '{"id": "01ff2febab592a184100000002", "type": "contact_deleted", "_links": [], "_embedded": {"entity": {"id": 30000004, "_links": []}}, "entity_id": 30000004, "account_id": 31000001, "created_at": 1790001000, "created_by": 0, "entity_type": "contact", "value_after": [], "value_before": []}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000001', 'Deal 1', '8000002', NULL, '8000002', '8000002', NULL, 15776, '58141810', '6950551', NULL, NULL, NULL, NULL, NULL, '2025-01-01 00:00:00+00', '2025-12-01 00:00:00+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.446312+00', NULL, '5225046d350dedf319488bdb5d05d17446796845355e2c54fc5ba48c52bad7f4', '{"id": 20000001, "name": "Deal 1", "price": 15776, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000001"}}, "group_id": 0, "_embedded": {"tags": [], "contacts": [{"id": 30000001, "_links": [], "is_main": true}, {"id": 30000002, "_links": [], "is_main": false}], "companies": [], "loss_reason": []}, "closed_at": null, "source_id": null, "status_id": 58141810, "account_id": 31000001, "created_at": 1735689600, "created_by": 8000002, "is_deleted": false, "labor_cost": null, "updated_at": 1764547200, "updated_by": 8000002, "pipeline_id": 6950551, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000002, "custom_fields_values": [{"values": [{"value": "New", "enum_id": 867968, "enum_code": null}], "field_id": 1016236, "field_code": null, "field_name": "Client type", "field_type": "select"}, {"values": [{"value": 1735689600}], "field_id": 1016240, "field_code": null, "field_name": "Contract date", "field_type": "date"}]}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000004', 'Deal 4', '8000003', NULL, '8000003', '8000003', NULL, 17152, '58141813', '6950552', NULL, NULL, NULL, NULL, NULL, '2025-04-02 04:48:00+00', '2025-04-21 22:27:12+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.446312+00', NULL, 'e5d78b3a1448b5051d2e4164da6fe509f728092a4c55e37ce00588c89b497886', '{"id": 20000004, "name": "Deal 4", "price": 17152, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000004"}}, "group_id": 0, "_embedded": {"tags": [{"id": 14, "name": "newsletter", "color": null}], "contacts": [{"id": 30000004, "_links": [], "is_main": true}], "companies": [], "loss_reason": []}, "closed_at": null, "source_id": null, "status_id": 58141813, "account_id": 31000001, "created_at": 1743569280, "created_by": 8000003, "is_deleted": false, "labor_cost": null, "updated_at": 1745274432, "updated_by": 8000003, "pipeline_id": 6950552, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000003, "custom_fields_values": [{"values": [{"value": "New", "enum_id": 867968, "enum_code": null}], "field_id": 1016236, "field_code": null, "field_name": "Client type", "field_type": "select"}, {"values": [{"value": 1743552000}], "field_id": 1016240, "field_code": null, "field_name": "Contract date", "field_type": "date"}, {"values": [{"value": "Site", "enum_id": 566640, "enum_code": null}], "field_id": 1016244, "field_code": null, "field_name": "Source", "field_type": "radiobutton"}]}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000005', 'Deal 5', '8000002', NULL, '8000002', '8000002', NULL, 1746, '143', '6950552', NULL, NULL, '2025-05-20 07:19:46+00', NULL, NULL, '2025-05-02 14:24:00+00', '2025-05-20 07:19:46+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.446312+00', NULL, '399fb4b5f81266f6ba1c08c5bc31ab3ae742fed3997b640119838df14fabf704', '{"id": 20000005, "name": "Deal 5", "price": 1746, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000005"}}, "group_id": 0, "_embedded": {"tags": [], "contacts": [{"id": 30000005, "_links": [], "is_main": true}, {"id": 30000006, "_links": [], "is_main": false}], "companies": [{"id": 40000001, "_links": []}], "loss_reason": []}, "closed_at": 1747725586, "source_id": null, "status_id": 143, "account_id": 31000001, "created_at": 1746195840, "created_by": 8000002, "is_deleted": false, "labor_cost": null, "updated_at": 1747725586, "updated_by": 8000002, "pipeline_id": 6950552, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000002, "custom_fields_values": [{"values": [{"value": 1746144000}], "field_id": 1016240, "field_code": null, "field_name": "Contract date", "field_type": "date"}, {"values": [{"value": "Site", "enum_id": 566640, "enum_code": null}], "field_id": 1016244, "field_code": null, "field_name": "Source", "field_type": "radiobutton"}]}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000006', 'Deal 6', '8000003', NULL, '8000003', '8000003', NULL, 10912, '58141813', '6950551', NULL, NULL, NULL, NULL, NULL, '2025-06-02 00:00:00+00', '2025-06-02 22:28:32+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.446312+00', NULL, 'c4f2dfd2b05d9d93d5c933edc7800b8504c17c9ec2f54da0004e93c127d7181b', '{"id": 20000006, "name": "Deal 6", "price": 10912, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000006"}}, "group_id": 0, "_embedded": {"tags": [], "contacts": [{"id": 30000007, "_links": [], "is_main": true}], "companies": [], "loss_reason": []}, "closed_at": null, "source_id": null, "status_id": 58141813, "account_id": 31000001, "created_at": 1748822400, "created_by": 8000003, "is_deleted": false, "labor_cost": null, "updated_at": 1748903312, "updated_by": 8000003, "pipeline_id": 6950551, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000003, "custom_fields_values": [{"values": [{"value": 1748822400}], "field_id": 1016240, "field_code": null, "field_name": "Contract date", "field_type": "date"}, {"values": [{"value": "Site", "enum_id": 566640, "enum_code": null}], "field_id": 1016244, "field_code": null, "field_name": "Source", "field_type": "radiobutton"}]}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000007', 'Deal 7', '8000004', NULL, '8000004', '8000004', NULL, 24458, '142', '6950551', NULL, NULL, '2025-07-13 11:16:58+00', NULL, NULL, '2025-07-02 09:36:00+00', '2025-07-13 11:16:58+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.446312+00', NULL, '2d47fa97e583486e41a7f7fb05ceb653706a3adf0f3717d19e01eeda01b629ce', '{"id": 20000007, "name": "Deal 7", "price": 24458, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000007"}}, "group_id": 0, "_embedded": {"tags": [{"id": 14, "name": "newsletter", "color": null}], "contacts": [{"id": 30000008, "_links": [], "is_main": true}], "companies": [{"id": 40000001, "_links": []}], "loss_reason": []}, "closed_at": 1752405418, "source_id": null, "status_id": 142, "account_id": 31000001, "created_at": 1751448960, "created_by": 8000004, "is_deleted": false, "labor_cost": null, "updated_at": 1752405418, "updated_by": 8000004, "pipeline_id": 6950551, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000004, "custom_fields_values": [{"values": [{"value": "Regular", "enum_id": 867970, "enum_code": null}], "field_id": 1016236, "field_code": null, "field_name": "Client type", "field_type": "select"}]}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000008', 'Deal 8', '8000001', NULL, '8000001', '8000001', NULL, 37305, '58141810', '6950552', NULL, NULL, NULL, NULL, NULL, '2025-08-01 19:12:00+00', '2025-08-09 19:00:00+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.446312+00', NULL, '111b19ced504c30c65aa8c2bd970f01b2917ad8ff013e72b0771d6909c412ce7', '{"id": 20000008, "name": "Deal 8", "price": 37305, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000008"}}, "group_id": 0, "_embedded": {"tags": [], "contacts": [{"id": 30000009, "_links": [], "is_main": true}], "companies": [], "loss_reason": []}, "closed_at": null, "source_id": null, "status_id": 58141810, "account_id": 31000001, "created_at": 1754075520, "created_by": 8000001, "is_deleted": false, "labor_cost": null, "updated_at": 1754766000, "updated_by": 8000001, "pipeline_id": 6950552, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000001, "custom_fields_values": [{"values": [{"value": 1754006400}], "field_id": 1016240, "field_code": null, "field_name": "Contract date", "field_type": "date"}]}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000009', 'Deal 9', '8000004', NULL, '8000004', '8000004', NULL, 11718, '58141813', '6950551', NULL, NULL, NULL, NULL, NULL, '2025-09-01 04:48:00+00', '2025-09-06 21:23:18+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.446312+00', NULL, 'b9507a69d34d8d3fe1222543a95e7c0ae070e56fea9ed3ed997194f1069bfa4a', '{"id": 20000009, "name": "Deal 9", "price": 11718, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000009"}}, "group_id": 0, "_embedded": {"tags": [{"id": 14, "name": "newsletter", "color": null}], "contacts": [{"id": 30000010, "_links": [], "is_main": true}, {"id": 30000011, "_links": [], "is_main": false}], "companies": [{"id": 40000001, "_links": []}], "loss_reason": []}, "closed_at": null, "source_id": null, "status_id": 58141813, "account_id": 31000001, "created_at": 1756702080, "created_by": 8000004, "is_deleted": false, "labor_cost": null, "updated_at": 1757193798, "updated_by": 8000004, "pipeline_id": 6950551, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000004, "custom_fields_values": [{"values": [{"value": "New", "enum_id": 867968, "enum_code": null}], "field_id": 1016236, "field_code": null, "field_name": "Client type", "field_type": "select"}]}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000010', 'Deal 10', '8000004', NULL, '8000004', '8000004', NULL, 4068, '143', '6950552', NULL, NULL, '2025-10-17 17:38:28+00', NULL, NULL, '2025-10-01 14:24:00+00', '2025-10-17 17:38:28+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.446312+00', NULL, '0da5b2d8d74178ecaa9dd84b313ecb0d9c52b85e002e8857da6d80b4f7808592', '{"id": 20000010, "name": "Deal 10", "price": 4068, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000010"}}, "group_id": 0, "_embedded": {"tags": [], "contacts": [{"id": 30000011, "_links": [], "is_main": true}], "companies": [], "loss_reason": []}, "closed_at": 1760722708, "source_id": null, "status_id": 143, "account_id": 31000001, "created_at": 1759328640, "created_by": 8000004, "is_deleted": false, "labor_cost": null, "updated_at": 1760722708, "updated_by": 8000004, "pipeline_id": 6950552, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000004, "custom_fields_values": [{"values": [{"value": "Regular", "enum_id": 867970, "enum_code": null}], "field_id": 1016236, "field_code": null, "field_name": "Client type", "field_type": "select"}, {"values": [{"value": "Site", "enum_id": 566640, "enum_code": null}], "field_id": 1016244, "field_code": null, "field_name": "Source", "field_type": "radiobutton"}]}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000002', 'Deal 2', '8000002', NULL, '8000002', NULL, NULL, 9471, '142', '6950552', NULL, NULL, '2026-09-21 14:30:00+00', NULL, NULL, '2025-01-31 09:36:00+00', '2026-09-21 14:30:00+00', '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:40.544967+00', NULL, 'c2d2bb2175b566211b4825925e713fbb4ad845cb5fd325149caade55454b4e20', '{"id": 20000002, "name": "Deal 2", "price": 9471, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000002"}}, "group_id": 0, "_embedded": {"tags": [{"id": 14, "name": "newsletter", "color": null}], "contacts": [{"id": 30000002, "_links": [], "is_main": true}], "companies": [{"id": 40000001, "_links": []}], "loss_reason": []}, "closed_at": 1790001000, "source_id": null, "status_id": 142, "account_id": 31000001, "created_at": 1738316160, "created_by": 8000002, "is_deleted": false, "labor_cost": null, "updated_at": 1790001000, "updated_by": 0, "pipeline_id": 6950552, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000002, "custom_fields_values": null}');
INSERT INTO public.crm_leads VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '20000003', 'Deal 3', '8000003', NULL, '8000003', NULL, NULL, 1234.5, '58141807', '6950552', NULL, NULL, NULL, NULL, NULL, '2025-03-02 19:12:00+00', '2026-09-21 14:30:00+00', '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:40.544967+00', NULL, 'aac49a048355bc7556aeb07b0e893b76ab0e0098bd3a5436b25abf4461f03cf9', '{"id": 20000003, "name": "Deal 3", "price": 1234.5, "score": null, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000003"}}, "group_id": 0, "_embedded": {"tags": [], "contacts": [{"id": 30000003, "_links": [], "is_main": true}], "companies": [{"id": 40000001, "_links": []}], "loss_reason": []}, "closed_at": null, "source_id": null, "status_id": 58141807, "account_id": 31000001, "created_at": 1740942720, "created_by": 8000003, "is_deleted": false, "labor_cost": null, "updated_at": 1790001000, "updated_by": 0, "pipeline_id": 6950552, "loss_reason_id": null, "closest_task_at": null, "responsible_user_id": 8000003, "custom_fields_values": [{"values": [{"value": "New", "enum_id": 867968, "enum_code": null}], "field_id": 1016236, "field_code": null, "field_name": "Client type", "field_type": "select"}, {"values": [{"value": 1740873600}], "field_id": 1016240, "field_code": null, "field_name": "Contract date", "field_type": "date"}, {"values": [{"value": "Site", "enum_id": 566640, "enum_code": null}], "field_id": 1016244, "field_code": null, "field_name": "Source", "field_type": "radiobutton"}]}');
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts', '30000007', 'companies', '40000001', NULL);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts', '30000010', 'companies', '40000001', NULL);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts', '30000011', 'companies', '40000001', NULL);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts', '30000012', 'companies', '40000001', NULL);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000001', 'contacts', '30000001', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000001', 'contacts', '30000002', false);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000004', 'contacts', '30000004', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000005', 'contacts', '30000005', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000005', 'contacts', '30000006', false);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000005', 'companies', '40000001', NULL);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000006', 'contacts', '30000007', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000007', 'contacts', '30000008', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000007', 'companies', '40000001', NULL);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000008', 'contacts', '30000009', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000009', 'contacts', '30000010', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000009', 'contacts', '30000011', false);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000009', 'companies', '40000001', NULL);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000010', 'contacts', '30000011', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000002', 'contacts', '30000002', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000002', 'companies', '40000001', NULL);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000003', 'contacts', '30000003', true);
INSERT INTO public.crm_links VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '20000003', 'companies', '40000001', NULL);
INSERT INTO public.crm_notes VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '50000001', NULL, 'common', 'Note 1', '20000001', '8000003', NULL, '8000003', '8000003', '2025-01-01 00:00:00+00', '2025-01-10 11:27:07+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', NULL, NULL, NULL, '2026-12-01 09:56:39.567276+00', NULL, '9b760ec0706bfe1a585ded6dafef6afa29bade4184730691b546e589ef12d88b', '{"id": 50000001, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000001/notes/50000001"}}, "params": {"text": "Note 1"}, "group_id": 0, "entity_id": 20000001, "note_type": "common", "account_id": 31000001, "created_at": 1735689600, "created_by": 8000003, "updated_at": 1736508427, "updated_by": 8000003, "responsible_user_id": 8000003}');
INSERT INTO public.crm_notes VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '50000002', NULL, 'call_in', NULL, '20000001', '8000001', NULL, NULL, NULL, '2026-09-21 14:30:00+00', '2026-09-21 14:30:00+00', '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:40.831447+00', NULL, '32c6359351d1282870ffb9f8cd5437d48fa647fe6f0ec2a2c6876793664c3f0c', '{"id": 50000002, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/20000001/notes/50000002"}}, "params": {"link": "", "uniq": "u", "phone": "+34600", "source": "pbx", "duration": 61}, "group_id": 0, "entity_id": 20000001, "note_type": "call_in", "account_id": 31000001, "created_at": 1790001000, "created_by": 0, "updated_at": 1790001000, "updated_by": 0, "responsible_user_id": 8000001}');
INSERT INTO public.crm_pipeline_stages VALUES ('2ca8dfcc-387c-4817-b0ed-ec1ed751d890', '99059562-f96b-4235-aac7-b200c943f0f4', '142', 'Closed - won', 10000, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('9a1d3e40-70b0-40ce-af2c-93b163060a49', '99059562-f96b-4235-aac7-b200c943f0f4', '143', 'Closed - lost', 11000, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('800d68df-9e7d-48fb-a80b-c1f98e96a122', '99059562-f96b-4235-aac7-b200c943f0f4', '58141803', 'Incoming leads', 10, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('1676f552-811b-4866-8861-0012f554a657', '99059562-f96b-4235-aac7-b200c943f0f4', '58141807', 'Step 1', 20, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('ca7bcb3c-d3c8-4e24-bf2a-81e927d2b93d', '99059562-f96b-4235-aac7-b200c943f0f4', '58141810', 'Step 2', 30, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('c7af9dc5-dd84-4287-959b-1818b715f06d', '99059562-f96b-4235-aac7-b200c943f0f4', '58141813', 'Step 3', 40, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('503da784-752a-43c9-b1aa-9c93ee3c9a9d', 'ff416ab5-c86a-4d28-8e87-efe091b2dc47', '142', 'Closed - won', 10000, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('33d372f7-22bd-407f-b399-47207b140bf5', 'ff416ab5-c86a-4d28-8e87-efe091b2dc47', '143', 'Closed - lost', 11000, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('c58eed07-a4d1-4047-a6ce-1c9ed6887ec2', 'ff416ab5-c86a-4d28-8e87-efe091b2dc47', '58141804', 'Incoming leads', 10, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('f0dbe161-2a14-4c12-a189-525c2858e008', 'ff416ab5-c86a-4d28-8e87-efe091b2dc47', '58141807', 'Step 1', 20, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('6f4512fc-dc57-4c9a-bd5a-7474da4506a5', 'ff416ab5-c86a-4d28-8e87-efe091b2dc47', '58141813', 'Step 3', 40, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipeline_stages VALUES ('43a51b51-9068-4f9b-8d66-c00389c04825', 'ff416ab5-c86a-4d28-8e87-efe091b2dc47', '58141810', 'Step 2', 30, '{"deleted_at": "2026-09-21T14:30:00+00:00"}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:40.30404+00');
INSERT INTO public.crm_pipelines VALUES ('99059562-f96b-4235-aac7-b200c943f0f4', '5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '6950551', 'Sales', true, 1, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_pipelines VALUES ('ff416ab5-c86a-4d28-8e87-efe091b2dc47', '5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '6950552', 'Support', true, 2, '{}', '2026-12-01 09:56:38.940109+00', '2026-12-01 09:56:38.940109+00');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'pipelines', '6950552', 'Support', 'ff416ab5-c86a-4d28-8e87-efe091b2dc47', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:40.307272+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', '3b155e80bdb1df6957295e227801743b40d75c41fa6bbe0ea4aca9f563c43e88', '{"id": 6950552, "name": "Support", "sort": 2, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/pipelines/6950552"}}, "is_main": false, "_embedded": {"statuses": [{"id": 58141804, "name": "Incoming leads", "sort": 10, "type": 1, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950552}, {"id": 58141807, "name": "Step 1", "sort": 20, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950552}, {"id": 58141813, "name": "Step 3", "sort": 40, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950552}, {"id": 142, "name": "Closed - won", "sort": 10000, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950552}, {"id": 143, "name": "Closed - lost", "sort": 11000, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950552}]}, "account_id": 31000001, "is_archive": false, "is_unsorted_on": true}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950551:142', 'Closed - won', '2ca8dfcc-387c-4817-b0ed-ec1ed751d890', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', 'e740851523ad6ccad4a48a1681340554260c4807eade763bec04c4513d328f22', '{"id": 142, "name": "Closed - won", "sort": 10000, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950551}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950551:143', 'Closed - lost', '9a1d3e40-70b0-40ce-af2c-93b163060a49', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', '5fd903b9f1b4214b785f133a60cfaec94e898b6392e0769e2e69f2e0df13d13f', '{"id": 143, "name": "Closed - lost", "sort": 11000, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950551}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950551:58141803', 'Incoming leads', '800d68df-9e7d-48fb-a80b-c1f98e96a122', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', '62876f55b1aa756bb0dc5a8ce85b0d5aefaf707f74a1e7f7b5dbc01c062fdfb4', '{"id": 58141803, "name": "Incoming leads", "sort": 10, "type": 1, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950551}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950551:58141807', 'Step 1', '1676f552-811b-4866-8861-0012f554a657', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', '63a9a0044e354915b633a99d11aacd4dc2254acbeaa9b5946196aa87dfc2dc3c', '{"id": 58141807, "name": "Step 1", "sort": 20, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950551}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950551:58141810', 'Step 2', 'ca7bcb3c-d3c8-4e24-bf2a-81e927d2b93d', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', 'e199daa33b360dad2c1d4d7531c68d77f1686b84251d792edbfe11bf2836cd96', '{"id": 58141810, "name": "Step 2", "sort": 30, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950551}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950551:58141813', 'Step 3', 'c7af9dc5-dd84-4287-959b-1818b715f06d', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', '2e685fb790b4b3630e29ec0708443b98e1963873c7d8caa316d3467d4512e7a2', '{"id": 58141813, "name": "Step 3", "sort": 40, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950551}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950552:142', 'Closed - won', '503da784-752a-43c9-b1aa-9c93ee3c9a9d', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', '4e57f4a26bc68ad3370080c2b0f74a9702ff4a6a4071cbc6bf689d5a8fa2a02e', '{"id": 142, "name": "Closed - won", "sort": 10000, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950552}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950552:143', 'Closed - lost', '33d372f7-22bd-407f-b399-47207b140bf5', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', 'a7903c756753ede951544e5e65721b157636c49294e5d9330283d3b3666bd6ea', '{"id": 143, "name": "Closed - lost", "sort": 11000, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950552}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'custom_fields', 'contacts:771906', 'Phone', '647a7a20-d7d1-4230-9fd4-04e49bc7c9c7', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.80281+00', 'a8fd4a64-3f70-4a80-aac7-68a35b2a3dd3', 'e3a4fabf1cb76227e917467ee68ef4fd50edc29cf4b185a5a2a540361180c4cf', '{"id": 771906, "code": "PHONE", "name": "Phone", "sort": 500, "type": "multitext", "enums": null, "_links": [], "group_id": null, "account_id": 31000001, "entity_type": "contacts", "is_api_only": false, "is_deletable": false, "is_predefined": true, "required_statuses": []}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950552:58141810', 'Step 2', '43a51b51-9068-4f9b-8d66-c00389c04825', NULL, NULL, '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', '2026-09-21 14:30:00+00', '2026-09-21 14:30:00+00', 'list', '2026-12-01 09:56:40.307272+00', '480f8221-7b41-49da-b2c2-0fea52b5ab7c', 'a1bede89597f5d50ec94f2759f95126b48eb623f19b95765a99122e548c3070b', '{"id": 58141810, "name": "Step 2", "sort": 30, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950552}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'custom_fields', 'leads:1016244', 'Source', '3c445b34-8a6e-4d86-a251-da03707d2615', NULL, NULL, '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', '2026-09-21 14:30:00+00', '2026-09-21 14:30:00+00', 'list', '2026-12-01 09:56:41.04007+00', 'ada64d05-dee5-4749-9a08-f2df92856d65', 'e7e6984624e377f6b995864d860be53b97906bcf900e1d46e359c5ae8da49c20', '{"id": 1016244, "code": null, "name": "Source", "sort": 502, "type": "radiobutton", "enums": [{"id": 566640, "sort": 500, "value": "Site"}, {"id": 566642, "sort": 501, "value": "Fair"}], "_links": [], "group_id": null, "account_id": 31000001, "entity_type": "leads", "is_api_only": false, "is_deletable": true, "is_predefined": false, "required_statuses": []}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'tasks', '7000001', NULL, 'f45ad56e-92d3-4ad0-89d4-514d38f38543', '2025-01-01 00:00:00+00', '2025-01-05 23:10:11+00', '2026-09-21 14:13:20+00', '2026-09-21 14:13:20+00', '2026-09-21 14:30:00+00', '2026-09-21 14:30:00+00', 'event', '2026-12-01 09:56:41.467306+00', 'cba24ebf-b5af-4772-a003-9ccfe5694df3', '631694b4431a47fd9533596fd7394eaf4fa37c3d01a088a9e92036bc004ee483', '{"id": 7000001, "text": "Call about deal 1", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/tasks/7000001"}}, "result": {"text": "Done"}, "duration": 0, "group_id": 0, "entity_id": 20000001, "account_id": 31000001, "created_at": 1735689600, "created_by": 8000002, "updated_at": 1736118611, "updated_by": 8000002, "entity_type": "leads", "is_completed": true, "task_type_id": 1, "complete_till": 1735776000, "responsible_user_id": 8000002}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950552:58141804', 'Incoming leads', 'c58eed07-a4d1-4047-a6ce-1c9ed6887ec2', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', '6851d8d2e115d34268f730db364100f98fa63265a1772b62af57a0d839c1248e', '{"id": 58141804, "name": "Incoming leads", "sort": 10, "type": 1, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950552}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950552:58141807', 'Step 1', 'f0dbe161-2a14-4c12-a189-525c2858e008', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', 'e79f9f459a89816dbe12bd9a158986204f7fa886fed8209964abb3ca5bc0b40e', '{"id": 58141807, "name": "Step 1", "sort": 20, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950552}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'stages', '6950552:58141813', 'Step 3', '6f4512fc-dc57-4c9a-bd5a-7474da4506a5', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', 'dd7c293b36ac57da7ce40835a6746b3e2b531ed9c6728ff210c1642a2b6c63e5', '{"id": 58141813, "name": "Step 3", "sort": 40, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950552}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'custom_fields', 'leads:1016236', 'Client type', 'be3ce573-2de3-4733-99d7-f95122dc3567', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.751427+00', '410df444-66ac-4e40-a7f5-1782d24828f9', '32ec43dada723c5951f766ba432fb1a7df7f0ced7166310f0d684afb351bb3e4', '{"id": 1016236, "code": null, "name": "Client type", "sort": 500, "type": "select", "enums": [{"id": 867968, "sort": 500, "value": "New"}, {"id": 867970, "sort": 501, "value": "Regular"}, {"id": 867972, "sort": 502, "value": "Partner"}], "_links": [], "group_id": null, "account_id": 31000001, "entity_type": "leads", "is_api_only": false, "is_deletable": true, "is_predefined": false, "required_statuses": []}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'custom_fields', 'leads:1016240', 'Contract date', 'acce73a9-f5f8-46c8-a127-77a3edf6b40b', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.751427+00', '410df444-66ac-4e40-a7f5-1782d24828f9', '50720a8a2c3477650f7eb74168a59ed8ba107bc4b58f581f6a536c78d8f2ada9', '{"id": 1016240, "code": null, "name": "Contract date", "sort": 501, "type": "date", "enums": null, "_links": [], "group_id": null, "account_id": 31000001, "entity_type": "leads", "is_api_only": false, "is_deletable": true, "is_predefined": false, "required_statuses": []}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'pipelines', '6950551', 'Sales', '99059562-f96b-4235-aac7-b200c943f0f4', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:38.941238+00', '2196d969-247b-444b-9dd2-ebb2f2fb36f8', '874f13993467d20bec1278faec0d108fea736b8ad4c23fa0a7d9c5a653f825f7', '{"id": 6950551, "name": "Sales", "sort": 1, "_links": {"self": {"href": "https://demo.kommo.com/api/v4/leads/pipelines/6950551"}}, "is_main": true, "_embedded": {"statuses": [{"id": 58141803, "name": "Incoming leads", "sort": 10, "type": 1, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950551}, {"id": 58141807, "name": "Step 1", "sort": 20, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950551}, {"id": 58141810, "name": "Step 2", "sort": 30, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950551}, {"id": 58141813, "name": "Step 3", "sort": 40, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": true, "pipeline_id": 6950551}, {"id": 142, "name": "Closed - won", "sort": 10000, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950551}, {"id": 143, "name": "Closed - lost", "sort": 11000, "type": 0, "color": "#99ccff", "_links": [], "account_id": 31000001, "is_editable": false, "pipeline_id": 6950551}]}, "account_id": 31000001, "is_archive": false, "is_unsorted_on": true}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'tasks', '7000002', NULL, '6979dab8-7f93-4a80-bcf2-df5110c95d3e', '2026-09-21 14:30:00+00', '2026-09-21 14:30:00+00', '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:40.63523+00', NULL, '61e064bc2d7f7244733a6c43c838c64e5237d6379d0945c7d1f4002902bb137d', '{"id": 7000002, "text": "Call", "_links": {"self": {"href": "https://demo.kommo.com/api/v4/tasks/7000002"}}, "result": [], "duration": 0, "group_id": 0, "entity_id": 20000001, "account_id": 31000001, "created_at": 1790001000, "created_by": 0, "updated_at": 1790001000, "updated_by": 0, "entity_type": "leads", "is_completed": false, "task_type_id": 1, "complete_till": 1790100000, "responsible_user_id": 8000001}');
INSERT INTO public.crm_row_versions VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'custom_fields', 'contacts:771908', 'Email', 'da73b9f6-3922-4677-9bbf-10ad1be84f6b', NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.80281+00', 'a8fd4a64-3f70-4a80-aac7-68a35b2a3dd3', '5bf5f319a4c3b4398918090f802b8dc053ecc8ba6b1d244f7181725906a44509', '{"id": 771908, "code": "EMAIL", "name": "Email", "sort": 501, "type": "multitext", "enums": null, "_links": [], "group_id": null, "account_id": 31000001, "entity_type": "contacts", "is_api_only": false, "is_deletable": false, "is_predefined": true, "required_statuses": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '11', 'site', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.90185+00', '9c07eb63-3e59-447e-a127-c27b11fb62b8', '893a72afa4e6bf2e5d1f644a24017eb1814ef60707fdc3f26f2dfebf4428a813', '{"id": 11, "name": "site", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '12', 'fair', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.90185+00', '9c07eb63-3e59-447e-a127-c27b11fb62b8', '45430bf3e46ffad3fa0bad63f3dd418c11965767a99e93e6911fbc31599176b0', '{"id": 12, "name": "fair", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '13', 'call back', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.90185+00', '9c07eb63-3e59-447e-a127-c27b11fb62b8', 'c8042e4091101ab0419e0adeb643b803f89302b2d3985225d7af79c188baba19', '{"id": 13, "name": "call back", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'leads', '14', 'newsletter', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.90185+00', '9c07eb63-3e59-447e-a127-c27b11fb62b8', 'b603bb5316f5ca0c7905884e9a7a7c304d0317b2e73c6840bb84a8b5169906cb', '{"id": 14, "name": "newsletter", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts', '11', 'site', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.942446+00', '9a3c0a9d-26df-4903-8df4-85a38d4af099', '893a72afa4e6bf2e5d1f644a24017eb1814ef60707fdc3f26f2dfebf4428a813', '{"id": 11, "name": "site", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts', '12', 'fair', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.942446+00', '9a3c0a9d-26df-4903-8df4-85a38d4af099', '45430bf3e46ffad3fa0bad63f3dd418c11965767a99e93e6911fbc31599176b0', '{"id": 12, "name": "fair", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts', '13', 'call back', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.942446+00', '9a3c0a9d-26df-4903-8df4-85a38d4af099', 'c8042e4091101ab0419e0adeb643b803f89302b2d3985225d7af79c188baba19', '{"id": 13, "name": "call back", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'contacts', '14', 'newsletter', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.942446+00', '9a3c0a9d-26df-4903-8df4-85a38d4af099', 'b603bb5316f5ca0c7905884e9a7a7c304d0317b2e73c6840bb84a8b5169906cb', '{"id": 14, "name": "newsletter", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'companies', '11', 'site', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.998023+00', '7a96bece-38a5-4f95-95ba-8d0f6c13a5a9', '893a72afa4e6bf2e5d1f644a24017eb1814ef60707fdc3f26f2dfebf4428a813', '{"id": 11, "name": "site", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'companies', '12', 'fair', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.998023+00', '7a96bece-38a5-4f95-95ba-8d0f6c13a5a9', '45430bf3e46ffad3fa0bad63f3dd418c11965767a99e93e6911fbc31599176b0', '{"id": 12, "name": "fair", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'companies', '13', 'call back', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.998023+00', '7a96bece-38a5-4f95-95ba-8d0f6c13a5a9', 'c8042e4091101ab0419e0adeb643b803f89302b2d3985225d7af79c188baba19', '{"id": 13, "name": "call back", "color": null, "_links": []}');
INSERT INTO public.crm_tags VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', 'companies', '14', 'newsletter', NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.998023+00', '7a96bece-38a5-4f95-95ba-8d0f6c13a5a9', 'b603bb5316f5ca0c7905884e9a7a7c304d0317b2e73c6840bb84a8b5169906cb', '{"id": 14, "name": "newsletter", "color": null, "_links": []}');
INSERT INTO public.crm_tasks VALUES ('6979dab8-7f93-4a80-bcf2-df5110c95d3e', '7b1d1e5c-6a0e-4f0e-9a53-0d1f6f7b2a10', '7000002', '20000001', 'leads', 'Call', 1, '2026-09-22 18:00:00+00', 8000001, false, '{}', '2026-12-01 09:56:40.633458+00', '2026-12-01 09:56:40.633458+00');
INSERT INTO public.crm_tasks VALUES ('f45ad56e-92d3-4ad0-89d4-514d38f38543', '7b1d1e5c-6a0e-4f0e-9a53-0d1f6f7b2a10', '7000001', '20000001', 'leads', 'Call about deal 1', 1, '2025-01-02 00:00:00+00', 8000002, true, '{"deleted_at": "2026-09-21T14:30:00+00:00"}', '2026-12-01 09:56:39.523201+00', '2026-12-01 09:56:41.467438+00');
INSERT INTO public.crm_users VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '8000001', 'Ana Ruiz', 'user0@example.com', 'en', true, true, NULL, NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.059298+00', '7cb35eae-0de1-4810-870d-57ed0e011fe6', '042acd4414573a31033813a6642db1d0dfc69e49de2d081c4e205173d4c6b6a3', '{"id": 8000001, "lang": "en", "name": "Ana Ruiz", "email": "user0@example.com", "_links": [], "rights": {"leads": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "tasks": {"edit": "A", "delete": "A"}, "is_free": false, "role_id": null, "contacts": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "group_id": null, "is_admin": true, "companies": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "is_active": true, "mail_access": false, "status_rights": [], "catalog_access": false}}');
INSERT INTO public.crm_users VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '8000002', 'Ben Novak', 'user1@example.com', 'en', false, true, NULL, NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.059298+00', '7cb35eae-0de1-4810-870d-57ed0e011fe6', 'a44221e609a89149888c343b1b00ab1a491d27167f6396187453947d5a275628', '{"id": 8000002, "lang": "en", "name": "Ben Novak", "email": "user1@example.com", "_links": [], "rights": {"leads": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "tasks": {"edit": "A", "delete": "A"}, "is_free": false, "role_id": null, "contacts": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "group_id": null, "is_admin": false, "companies": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "is_active": true, "mail_access": false, "status_rights": [], "catalog_access": false}}');
INSERT INTO public.crm_users VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '8000003', 'Chloé Schmidt', 'user2@example.com', 'en', false, true, NULL, NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.059298+00', '7cb35eae-0de1-4810-870d-57ed0e011fe6', 'f25a0a0d7c9e035360afaae623984a63c714a6317cae9e0d96d3cf5dc47dea84', '{"id": 8000003, "lang": "en", "name": "Chloé Schmidt", "email": "user2@example.com", "_links": [], "rights": {"leads": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "tasks": {"edit": "A", "delete": "A"}, "is_free": false, "role_id": null, "contacts": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "group_id": null, "is_admin": false, "companies": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "is_active": true, "mail_access": false, "status_rights": [], "catalog_access": false}}');
INSERT INTO public.crm_users VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '8000004', 'Dmitri Иванова', 'user3@example.com', 'en', false, true, NULL, NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.059298+00', '7cb35eae-0de1-4810-870d-57ed0e011fe6', 'da743f7b94d70d4fcdcaae3553a24a07d20e2690a369d3a7ef2d7d2b3a030c2a', '{"id": 8000004, "lang": "en", "name": "Dmitri Иванова", "email": "user3@example.com", "_links": [], "rights": {"leads": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "tasks": {"edit": "A", "delete": "A"}, "is_free": false, "role_id": null, "contacts": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "group_id": null, "is_admin": false, "companies": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "is_active": true, "mail_access": false, "status_rights": [], "catalog_access": false}}');
INSERT INTO public.crm_users VALUES ('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12', '8000005', 'Elif Öztürk', 'user4@example.com', 'en', false, true, NULL, NULL, NULL, NULL, '2026-09-21 14:46:40+00', '2026-09-21 14:46:40+00', NULL, NULL, NULL, '2026-12-01 09:56:39.059298+00', '7cb35eae-0de1-4810-870d-57ed0e011fe6', '5bd92a69e2e4b8b4b0ad41e5ec4f00ac8b650a8d0d595c3d79b6c1852c10c517', '{"id": 8000005, "lang": "en", "name": "Elif Öztürk", "email": "user4@example.com", "_links": [], "rights": {"leads": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "tasks": {"edit": "A", "delete": "A"}, "is_free": false, "role_id": null, "contacts": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "group_id": null, "is_admin": false, "companies": {"add": "A", "edit": "A", "view": "A", "delete": "A", "export": "A"}, "is_active": true, "mail_access": false, "status_rights": [], "catalog_access": false}}');
INSERT INTO public.organizations VALUES ('7b1d1e5c-6a0e-4f0e-9a53-0d1f6f7b2a10', 'Ann', 'ann', '2026-12-01 09:56:37.224268+00', '2026-12-01 09:56:37.224268+00');
ALTER TABLE ONLY public.company_knowledge
    ADD CONSTRAINT company_knowledge_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.crm_accounts
    ADD CONSTRAINT crm_accounts_pkey PRIMARY KEY (connection_id, external_id);
ALTER TABLE ONLY public.crm_companies
    ADD CONSTRAINT crm_companies_pkey PRIMARY KEY (connection_id, external_id);
ALTER TABLE ONLY public.crm_connection_states
    ADD CONSTRAINT crm_connection_states_pkey PRIMARY KEY (connection_id);
ALTER TABLE ONLY public.crm_connections
    ADD CONSTRAINT crm_connections_org_id_provider_base_domain_key UNIQUE (org_id, provider, base_domain);
ALTER TABLE ONLY public.crm_connections
    ADD CONSTRAINT crm_connections_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.crm_contacts
    ADD CONSTRAINT crm_contacts_pkey PRIMARY KEY (connection_id, external_id);
ALTER TABLE ONLY public.crm_credentials
    ADD CONSTRAINT crm_credentials_org_id_provider_key UNIQUE (org_id, provider);
ALTER TABLE ONLY public.crm_credentials
    ADD CONSTRAINT crm_credentials_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.crm_cursors
    ADD CONSTRAINT crm_cursors_pkey PRIMARY KEY (connection_id, entity);
ALTER TABLE ONLY public.crm_custom_fields
    ADD CONSTRAINT crm_custom_fields_connection_id_external_id_entity_type_key UNIQUE (connection_id, external_id, entity_type);
ALTER TABLE ONLY public.crm_custom_fields
    ADD CONSTRAINT crm_custom_fields_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.crm_dirty
    ADD CONSTRAINT crm_dirty_pkey PRIMARY KEY (connection_id, entity, external_id);
ALTER TABLE ONLY public.crm_events
    ADD CONSTRAINT crm_events_pkey PRIMARY KEY (connection_id, external_id);
ALTER TABLE ONLY public.crm_hooks
    ADD CONSTRAINT crm_hooks_pkey PRIMARY KEY (connection_id, body_hash);
ALTER TABLE ONLY public.crm_leads
    ADD CONSTRAINT crm_leads_pkey PRIMARY KEY (connection_id, external_id);
ALTER TABLE ONLY public.crm_leases
    ADD CONSTRAINT crm_leases_pkey PRIMARY KEY (scope);
ALTER TABLE ONLY public.crm_links
    ADD CONSTRAINT crm_links_pkey PRIMARY KEY (connection_id, from_type, from_id, to_type, to_id);
ALTER TABLE ONLY public.crm_notes
    ADD CONSTRAINT crm_notes_pkey PRIMARY KEY (connection_id, entity_type, external_id);
ALTER TABLE ONLY public.crm_outbox
    ADD CONSTRAINT crm_outbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.crm_pipeline_stages
    ADD CONSTRAINT crm_pipeline_stages_pipeline_id_external_id_key UNIQUE (pipeline_id, external_id);
ALTER TABLE ONLY public.crm_pipeline_stages
    ADD CONSTRAINT crm_pipeline_stages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.crm_pipelines
    ADD CONSTRAINT crm_pipelines_connection_id_external_id_key UNIQUE (connection_id, external_id);
ALTER TABLE ONLY public.crm_pipelines
    ADD CONSTRAINT crm_pipelines_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.crm_row_versions
    ADD CONSTRAINT crm_row_versions_pkey PRIMARY KEY (connection_id, entity, external_id);
ALTER TABLE ONLY public.crm_tags
    ADD CONSTRAINT crm_tags_pkey PRIMARY KEY (connection_id, entity_type, external_id);
ALTER TABLE ONLY public.crm_tasks
    ADD CONSTRAINT crm_tasks_org_id_task_id_key UNIQUE (org_id, task_id);
ALTER TABLE ONLY public.crm_tasks
    ADD CONSTRAINT crm_tasks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.crm_users
    ADD CONSTRAINT crm_users_pkey PRIMARY KEY (connection_id, external_id);
ALTER TABLE ONLY public.knowledge_pipeline_mapping
    ADD CONSTRAINT knowledge_pipeline_mapping_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.oauth_states
    ADD CONSTRAINT oauth_states_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.oauth_states
    ADD CONSTRAINT oauth_states_provider_state_key UNIQUE (provider, state);
ALTER TABLE ONLY public.organization_members
    ADD CONSTRAINT organization_members_pkey PRIMARY KEY (org_id, user_id);
ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_slug_key UNIQUE (slug);
ALTER TABLE ONLY public.sales_scripts
    ADD CONSTRAINT sales_scripts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook_events
    ADD CONSTRAINT webhook_events_pkey PRIMARY KEY (id);
CREATE INDEX idx_company_knowledge_own ON public.company_knowledge USING btree (id);
CREATE INDEX idx_crm_connections_own ON public.crm_connections USING btree (id);
CREATE INDEX idx_crm_credentials_own ON public.crm_credentials USING btree (id);
CREATE INDEX idx_crm_custom_fields_own ON public.crm_custom_fields USING btree (id);
CREATE INDEX idx_crm_pipeline_stages_own ON public.crm_pipeline_stages USING btree (id);
CREATE INDEX idx_crm_pipelines_own ON public.crm_pipelines USING btree (id);
CREATE INDEX idx_crm_tasks_own ON public.crm_tasks USING btree (id);
CREATE INDEX idx_knowledge_pipeline_mapping_own ON public.knowledge_pipeline_mapping USING btree (id);
CREATE INDEX idx_oauth_states_own ON public.oauth_states USING btree (id);
CREATE INDEX idx_organization_members_own ON public.organization_members USING btree (user_id);
CREATE INDEX idx_organizations_own ON public.organizations USING btree (id);
CREATE INDEX idx_sales_scripts_own ON public.sales_scripts USING btree (id);
CREATE INDEX idx_webhook_events_own ON public.webhook_events USING btree (id);
CREATE INDEX ix_crm_accounts_changed ON public.crm_accounts USING btree (changed_at);
CREATE INDEX ix_crm_accounts_updated ON public.crm_accounts USING btree (connection_id, remote_updated_at);
CREATE INDEX ix_crm_companies_changed ON public.crm_companies USING btree (changed_at);
CREATE INDEX ix_crm_companies_updated ON public.crm_companies USING btree (connection_id, remote_updated_at);
CREATE INDEX ix_crm_contacts_changed ON public.crm_contacts USING btree (changed_at);
CREATE INDEX ix_crm_contacts_updated ON public.crm_contacts USING btree (connection_id, remote_updated_at);
CREATE INDEX ix_crm_dirty_marked ON public.crm_dirty USING btree (connection_id, entity, marked_at);
CREATE INDEX ix_crm_events_changed ON public.crm_events USING btree (changed_at);
CREATE INDEX ix_crm_events_updated ON public.crm_events USING btree (connection_id, remote_updated_at);
CREATE INDEX ix_crm_hooks_received ON public.crm_hooks USING btree (received_at);
CREATE INDEX ix_crm_hooks_waiting ON public.crm_hooks USING btree (connection_id, received_at) WHERE (expanded_at IS NULL);
CREATE INDEX ix_crm_leads_changed ON public.crm_leads USING btree (changed_at);
CREATE INDEX ix_crm_leads_updated ON public.crm_leads USING btree (connection_id, remote_updated_at);
CREATE INDEX ix_crm_links_to ON public.crm_links USING btree (connection_id, to_type, to_id);
CREATE INDEX ix_crm_notes_changed ON public.crm_notes USING btree (changed_at);
CREATE INDEX ix_crm_notes_updated ON public.crm_notes USING btree (connection_id, remote_updated_at);
CREATE INDEX ix_crm_outbox_state ON public.crm_outbox USING btree (connection_id, state, created_at);
CREATE INDEX ix_crm_row_versions_local ON public.crm_row_versions USING btree (local_id);
CREATE INDEX ix_crm_tags_changed ON public.crm_tags USING btree (changed_at);
CREATE INDEX ix_crm_tags_updated ON public.crm_tags USING btree (connection_id, remote_updated_at);
CREATE INDEX ix_crm_users_changed ON public.crm_users USING btree (changed_at);
CREATE INDEX ix_crm_users_updated ON public.crm_users USING btree (connection_id, remote_updated_at);
CREATE UNIQUE INDEX uq_crm_outbox_key ON public.crm_outbox USING btree (connection_id, key);
CREATE TRIGGER crm_connections_updated_at BEFORE UPDATE ON public.crm_connections FOR EACH ROW EXECUTE FUNCTION public.trigger_set_timestamp();
CREATE TRIGGER crm_credentials_updated_at BEFORE UPDATE ON public.crm_credentials FOR EACH ROW EXECUTE FUNCTION public.trigger_set_timestamp();
CREATE TRIGGER crm_custom_fields_updated_at BEFORE UPDATE ON public.crm_custom_fields FOR EACH ROW EXECUTE FUNCTION public.trigger_set_timestamp();
CREATE TRIGGER crm_pipeline_stages_updated_at BEFORE UPDATE ON public.crm_pipeline_stages FOR EACH ROW EXECUTE FUNCTION public.trigger_set_timestamp();
CREATE TRIGGER crm_pipelines_updated_at BEFORE UPDATE ON public.crm_pipelines FOR EACH ROW EXECUTE FUNCTION public.trigger_set_timestamp();
CREATE TRIGGER crm_tasks_updated_at BEFORE UPDATE ON public.crm_tasks FOR EACH ROW EXECUTE FUNCTION public.trigger_set_timestamp();
ALTER TABLE ONLY public.company_knowledge
    ADD CONSTRAINT company_knowledge_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.company_knowledge
    ADD CONSTRAINT company_knowledge_pipeline_stage_id_fkey FOREIGN KEY (pipeline_stage_id) REFERENCES public.crm_pipeline_stages(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.crm_connections
    ADD CONSTRAINT crm_connections_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.crm_credentials
    ADD CONSTRAINT crm_credentials_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.crm_custom_fields
    ADD CONSTRAINT crm_custom_fields_connection_id_fkey FOREIGN KEY (connection_id) REFERENCES public.crm_connections(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.crm_pipeline_stages
    ADD CONSTRAINT crm_pipeline_stages_pipeline_id_fkey FOREIGN KEY (pipeline_id) REFERENCES public.crm_pipelines(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.crm_pipelines
    ADD CONSTRAINT crm_pipelines_connection_id_fkey FOREIGN KEY (connection_id) REFERENCES public.crm_connections(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.crm_tasks
    ADD CONSTRAINT crm_tasks_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.knowledge_pipeline_mapping
    ADD CONSTRAINT knowledge_pipeline_mapping_knowledge_id_fkey FOREIGN KEY (knowledge_id) REFERENCES public.company_knowledge(id);
ALTER TABLE ONLY public.knowledge_pipeline_mapping
    ADD CONSTRAINT knowledge_pipeline_mapping_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.knowledge_pipeline_mapping
    ADD CONSTRAINT knowledge_pipeline_mapping_pipeline_stage_id_fkey FOREIGN KEY (pipeline_stage_id) REFERENCES public.crm_pipeline_stages(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.oauth_states
    ADD CONSTRAINT oauth_states_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.organization_members
    ADD CONSTRAINT organization_members_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id);
ALTER TABLE ONLY public.sales_scripts
    ADD CONSTRAINT sales_scripts_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sales_scripts
    ADD CONSTRAINT sales_scripts_pipeline_stage_id_fkey FOREIGN KEY (pipeline_stage_id) REFERENCES public.crm_pipeline_stages(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.webhook_events
    ADD CONSTRAINT webhook_events_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE public.company_knowledge ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_companies ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_connection_states ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_connections ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_contacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_dirty ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_hooks ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_leads ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_leases ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_pipeline_stages ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_pipelines ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_row_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.crm_users ENABLE ROW LEVEL SECURITY;
CREATE POLICY members ON public.crm_connections TO authenticated USING ((org_id IN ( SELECT organization_members.org_id
   FROM public.organization_members
  WHERE (organization_members.user_id = auth.uid()))));
CREATE POLICY members ON public.crm_tasks TO authenticated USING ((org_id IN ( SELECT organization_members.org_id
   FROM public.organization_members
  WHERE (organization_members.user_id = auth.uid()))));
ALTER TABLE public.sales_scripts ENABLE ROW LEVEL SECURITY;
GRANT ALL ON TABLE public.company_knowledge TO anon;
GRANT ALL ON TABLE public.company_knowledge TO authenticated;
GRANT ALL ON TABLE public.company_knowledge TO service_role;
GRANT ALL ON TABLE public.crm_accounts TO service_role;
GRANT ALL ON TABLE public.crm_companies TO service_role;
GRANT ALL ON TABLE public.crm_connection_states TO service_role;
GRANT ALL ON TABLE public.crm_connections TO anon;
GRANT ALL ON TABLE public.crm_connections TO authenticated;
GRANT ALL ON TABLE public.crm_connections TO service_role;
GRANT ALL ON TABLE public.crm_contacts TO service_role;
GRANT ALL ON TABLE public.crm_credentials TO anon;
GRANT ALL ON TABLE public.crm_credentials TO authenticated;
GRANT ALL ON TABLE public.crm_credentials TO service_role;
GRANT ALL ON TABLE public.crm_cursors TO service_role;
GRANT ALL ON TABLE public.crm_custom_fields TO anon;
GRANT ALL ON TABLE public.crm_custom_fields TO authenticated;
GRANT ALL ON TABLE public.crm_custom_fields TO service_role;
GRANT ALL ON TABLE public.crm_dirty TO service_role;
GRANT ALL ON TABLE public.crm_events TO service_role;
GRANT ALL ON TABLE public.crm_hooks TO service_role;
GRANT ALL ON TABLE public.crm_leads TO service_role;
GRANT ALL ON TABLE public.crm_leases TO service_role;
GRANT ALL ON TABLE public.crm_links TO service_role;
GRANT ALL ON TABLE public.crm_notes TO service_role;
GRANT ALL ON TABLE public.crm_outbox TO service_role;
GRANT ALL ON TABLE public.crm_pipeline_stages TO anon;
GRANT ALL ON TABLE public.crm_pipeline_stages TO authenticated;
GRANT ALL ON TABLE public.crm_pipeline_stages TO service_role;
GRANT ALL ON TABLE public.crm_pipelines TO anon;
GRANT ALL ON TABLE public.crm_pipelines TO authenticated;
GRANT ALL ON TABLE public.crm_pipelines TO service_role;
GRANT ALL ON TABLE public.crm_row_versions TO service_role;
GRANT ALL ON TABLE public.crm_tags TO service_role;
GRANT ALL ON TABLE public.crm_tasks TO anon;
GRANT ALL ON TABLE public.crm_tasks TO authenticated;
GRANT ALL ON TABLE public.crm_tasks TO service_role;
GRANT ALL ON TABLE public.crm_users TO service_role;
GRANT ALL ON TABLE public.knowledge_pipeline_mapping TO anon;
GRANT ALL ON TABLE public.knowledge_pipeline_mapping TO authenticated;
GRANT ALL ON TABLE public.knowledge_pipeline_mapping TO service_role;
GRANT ALL ON TABLE public.oauth_states TO anon;
GRANT ALL ON TABLE public.oauth_states TO authenticated;
GRANT ALL ON TABLE public.oauth_states TO service_role;
GRANT ALL ON TABLE public.organization_members TO anon;
GRANT ALL ON TABLE public.organization_members TO authenticated;
GRANT ALL ON TABLE public.organization_members TO service_role;
GRANT ALL ON TABLE public.organizations TO anon;
GRANT ALL ON TABLE public.organizations TO authenticated;
GRANT ALL ON TABLE public.organizations TO service_role;
GRANT ALL ON TABLE public.sales_scripts TO anon;
GRANT ALL ON TABLE public.sales_scripts TO authenticated;
GRANT ALL ON TABLE public.sales_scripts TO service_role;
GRANT ALL ON TABLE public.webhook_events TO anon;
GRANT ALL ON TABLE public.webhook_events TO authenticated;
GRANT ALL ON TABLE public.webhook_events TO service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON TABLES  TO anon;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON TABLES  TO authenticated;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON TABLES  TO service_role;
